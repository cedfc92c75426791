//! What commands act on: the network they talk to, and the wallets they sign with.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    time::Duration,
};

use console::Term;
use soma_agents::{Downloader, Experts};
use soma_blobs::FetchPolicy;
use soma_client::{Account, ClientError, NodeClient, NodeOptions, Wallets, keyfile::Secret, node::LOCAL_URL};
use soma_types::{
    Address,
    params::{Params, Preset},
};

use crate::{
    args::{Global, Signer},
    error::{CliError, CliResult},
    printer::{Format, Printer},
    record::Record,
};

/// Environment variable with the password of encrypted wallets.
pub const PASSWORD_VARIABLE: &str = "SOMA_PASSWORD";
/// How long a command tries to reach a node before it says that it cannot.
const RETRY_WINDOW: Duration = Duration::from_secs(1);
/// Until weights or data are downloaded.
const FETCH_TIMEOUT: Duration = Duration::from_secs(600);

/// The network and the wallets that a command line names.
#[derive(Clone, Debug)]
pub struct Context {
    network: String,
    home: Option<PathBuf>,
    printer: Printer,
    record: Record,
}

impl Context {
    /// Takes the options of every command. Touches neither network nor disk.
    pub fn new(global: &Global) -> Self {
        Self {
            network: global.network.clone(),
            home: global.home.clone(),
            printer: Printer::new(if global.json { Format::Json } else { Format::Text }),
            record: Record::default(),
        }
    }

    /// Prints results as the command line asks.
    pub const fn printer(&self) -> Printer {
        self.printer
    }

    /// What the command has done so far.
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The node to ask. A command that asks once and ends says soon that it is not there.
    pub fn node(&self) -> CliResult<NodeClient> {
        self.node_with(NodeOptions {
            retry_window: RETRY_WINDOW,
            ..NodeOptions::default()
        })
    }

    /// The node to work with for long: it may restart meanwhile.
    pub fn patient_node(&self) -> CliResult<NodeClient> {
        self.node_with(NodeOptions::default())
    }

    fn node_with(&self, options: NodeOptions) -> CliResult<NodeClient> {
        NodeClient::with_options(&self.network, options).map_err(|error| match error {
            ClientError::BadUrl { .. } => CliError::usage(&error).hint(format!(
                "give --network local ({LOCAL_URL}), or the URL of a node"
            )),
            error => error.into(),
        })
    }

    /// The folder of wallets, secrets and the localnet.
    pub fn home(&self) -> CliResult<PathBuf> {
        match &self.home {
            Some(home) => Ok(home.clone()),
            None => Ok(Wallets::default_directory()?),
        }
    }

    /// The wallets.
    pub fn wallets(&self) -> CliResult<Wallets> {
        Ok(Wallets::new(self.home()?))
    }

    /// The account that signs, unlocked. What would fail is not sent, and what is sent is noted in the record.
    pub async fn account(&self, signer: &Signer) -> CliResult<Account> {
        self.account_at(self.node()?, signer).await
    }

    /// [`Context::account`] at a given node.
    pub async fn account_at(&self, node: NodeClient, signer: &Signer) -> CliResult<Account> {
        let wallets = self.wallets()?;
        let journal = wallets.journal();
        let secret = self.unlock(signer.wallet.as_deref()).await?;
        let (record, printer) = (self.record.clone(), self.printer);
        Ok(Account::new(node, secret.keypair(), journal)
            .rehearsing()
            .with_max_fee(signer.max_fee)
            .with_wait(Duration::from_secs(signer.wait))
            .watched(move |notice| record.take(printer, notice)))
    }

    /// The secrets of a wallet. Asks for its password where it has one that is not in `SOMA_PASSWORD`.
    pub async fn unlock(&self, name: Option<&str>) -> CliResult<Secret> {
        let wallets = self.wallets()?;
        let name = wallets.resolve(name)?;
        let password = match password() {
            None if wallets.info(&name)?.encrypted => Some(ask(&name)?),
            password => password,
        };
        // Slow on purpose where a password is set.
        let secret = tokio::task::spawn_blocking(move || wallets.export(&name, password.as_deref())).await?;
        Ok(secret?)
    }

    /// An address: given as such, by a wallet's name, or of the wallet in use.
    pub fn address(&self, account: Option<&str>) -> CliResult<Address> {
        if let Some(text) = account
            && text.starts_with("0x")
        {
            return text.parse::<Address>().map_err(|error| {
                CliError::usage(error).hint("`soma wallet list` shows yours; a wallet's name will do")
            });
        }
        let wallets = self.wallets()?;
        Ok(wallets.info(&wallets.resolve(account)?)?.address)
    }
}

/// Downloads models within the network's limits; from private addresses only on localnets.
pub fn experts(node: &NodeClient, params: &Params) -> Result<Experts, soma_blobs::FetchError> {
    let policy = FetchPolicy {
        size_bytes_max: params.weights_size_max_bytes.max(params.data_size_max_bytes),
        timeout: FETCH_TIMEOUT,
        private_addresses: params.preset == Preset::Local,
        ..FetchPolicy::default()
    };
    Ok(Experts::new(Downloader::new(node.clone(), policy)?))
}

/// The password in the environment.
pub fn password() -> Option<String> {
    std::env::var(PASSWORD_VARIABLE)
        .ok()
        .filter(|password| !password.is_empty())
}

/// Asks the person at the terminal.
fn ask(name: &str) -> CliResult<String> {
    if !io::stdin().is_terminal() {
        return Err(
            CliError::new(format!("wallet '{name}' is encrypted, and no password was given")).hint(format!(
                "set {PASSWORD_VARIABLE}, or run the command in a terminal to be asked"
            )),
        );
    }
    let terminal = Term::stderr();
    terminal.write_str(&format!("Password of wallet '{name}': "))?;
    Ok(terminal.read_secure_line()?)
}
