//! What tests of a localnet share.

use soma_client::NodeClient;
use soma_localnet::Localnet;
use soma_types::Address;

/// An account of somebody's.
pub const ALICE: Address = Address([0xa1; 32]);

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

pub fn client(net: &Localnet, validator: usize) -> NodeClient {
    NodeClient::new(&format!("http://{}", net.apis()[validator])).unwrap()
}

pub async fn height(client: &NodeClient) -> u64 {
    client.status().await.map_or(0, |status| status.height.0)
}
