//! What tests of a localnet share.

use std::time::{Duration, Instant};

use soma_client::NodeClient;
use soma_localnet::{Config, Localnet, testing::PATIENCE};
use soma_types::{Address, params::Params};

use crate::raw::get;

/// An account of somebody's.
pub const ALICE: Address = Address([0xa1; 32]);

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Parameters with which an epoch takes seconds.
pub fn short_epochs() -> Params {
    Params {
        epoch_blocks: 24,
        audit_commit_blocks: 12,
        audit_reveal_blocks: 2,
        hearing_commit_blocks: 2,
        ..Params::local()
    }
}

/// A network whose first validator has heard of a block that is final.
pub fn started(config: Config) -> Localnet {
    let net = Localnet::start(config).unwrap();
    let start = Instant::now();
    while get(net.apis()[0], "/health").status != 200 {
        assert!(start.elapsed() < PATIENCE, "the network did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    net
}

pub fn client(net: &Localnet, validator: usize) -> NodeClient {
    NodeClient::new(&format!("http://{}", net.apis()[validator])).unwrap()
}

pub async fn height(client: &NodeClient) -> u64 {
    client.status().await.map_or(0, |status| status.height.0)
}
