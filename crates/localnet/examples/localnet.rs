//! Runs a localnet for a while and prints how fast it is: `cargo run -p soma-localnet --example localnet --
//! DIR SECONDS`.

use std::{path::PathBuf, time::Duration};

use soma_localnet::{Config, Localnet};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory: PathBuf = arguments.next().ok_or("usage: localnet DIR SECONDS")?.into();
    let seconds: u64 = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let mut net = Localnet::start(Config::new(directory))?;
    println!("API at http://{}", net.apis()[0]);
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_secs(1));
        if let Some(failure) = net.failure() {
            return Err(failure.into());
        }
    }
    for query in net.queries() {
        let index = query.index();
        let (sent, received) = query.network_bytes();
        println!(
            "tip {:?}\n  block ms {:?}  finality ms {:?}  sent {sent} B  received {received} B",
            index.tip(),
            index.block_times(),
            index.finality()
        );
    }
    net.stop()?;
    Ok(())
}
