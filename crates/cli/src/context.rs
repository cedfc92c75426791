//! What commands act on: the network they talk to, and the wallets they sign with.

use std::{
    collections::BTreeSet,
    env::{self, VarError},
    path::PathBuf,
    time::Duration,
};

use bytesize::ByteSize;
use soma_agents::{Cache, Downloader, Experts};
use soma_blobs::FetchPolicy;
use soma_client::{
    Account, ClientError, ModelFilter, NodeClient, NodeOptions, Wallets,
    keyfile::{self, Secret},
    node::LOCAL_URL,
};
use soma_types::{
    Address, ChainId, Keypair,
    params::{Params, Preset},
};
use zeroize::Zeroizing;

use crate::{
    args::{Budgets, Global, Signer},
    error::{CliError, CliResult},
    node_name::NodeName,
    printer::Printer,
    record::Record,
    reference::{Reference, id_text},
    terminal::Terminal,
};

/// Environment variable with the password of encrypted wallets.
pub const PASSWORD_VARIABLE: &str = "SOMA_PASSWORD";
/// Environment variable with the chain that is signed for by commands that name none.
const CHAIN_VARIABLE: &str = "SOMA_CHAIN";
/// Environment variable with the network of commands that name none.
const NETWORK_VARIABLE: &str = "SOMA_NETWORK";
/// How long a command tries to reach a node before it says that it cannot.
const RETRY_WINDOW: Duration = Duration::from_secs(1);
/// Until weights or data are downloaded.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(600);
/// Until a mebibyte of them is: a host that trickles serves nobody in time.
pub const FETCH_PACE: Duration = Duration::from_secs(30);

/// The network and the wallets that a command line names.
#[derive(Clone, Debug)]
pub struct Context {
    network: NodeName,
    home: Option<PathBuf>,
    printer: Printer,
    record: Record,
}

impl Context {
    /// Takes the options of every command, or the variables that stand for them. Touches neither network nor
    /// disk.
    pub fn new(global: &Global, printer: Printer) -> CliResult<Self> {
        let network = match &global.network {
            Some(network) => network.clone(),
            None => variable(NETWORK_VARIABLE)?
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
        };
        Ok(Self {
            network,
            home: global.home.clone(),
            printer,
            record: Record::default(),
        })
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
        NodeClient::with_options(self.network.as_str(), options).map_err(|error| match error {
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

    /// The account that signs, unlocked. What would fail is not sent, and what is sent is noted in the
    /// record.
    pub async fn account(&self, signer: &Signer) -> CliResult<Account> {
        self.account_at(self.node()?, signer).await
    }

    /// What loads the network's models, within budgets of memory and disk.
    pub async fn experts_within(&self, account: &Account, budgets: &Budgets) -> CliResult<Experts> {
        let params = account.params().await?;
        // In the smallest form that weights have: two bytes each.
        let least = ByteSize(params.architecture.parameters().saturating_mul(2));
        if budgets.memory < least {
            return Err(CliError::usage(format!(
                "--memory {} holds no model of this network: the least is {least}",
                budgets.memory
            )));
        }
        let experts = experts(account.node(), &params)?.within(budgets.memory.as_u64());
        let (folder, budget_bytes) = (self.home()?.join("weights"), budgets.cache.as_u64());
        if budget_bytes == 0 {
            return Ok(experts);
        }
        let opened = tokio::task::spawn_blocking(move || Cache::open(folder, budget_bytes)).await?;
        match opened {
            Ok(cache) => Ok(experts.cached(cache)),
            Err(error) => {
                self.printer
                    .note(format!("models are kept in memory only: {error}"));
                Ok(experts)
            }
        }
    }

    /// [`Context::account`] at a given node.
    pub async fn account_at(&self, node: NodeClient, signer: &Signer) -> CliResult<Account> {
        let wallets = self.wallets()?;
        let journal = wallets.journal();
        let secret = self.unlock(signer.wallet.as_deref()).await?;
        let (record, printer) = (self.record.clone(), self.printer);
        let account = Account::new(node, secret.keypair(), journal)
            .rehearsing()
            .with_max_fee(signer.max_fee)
            .with_wait(Duration::from_secs(signer.wait))
            .watched(move |notice| record.take(printer, notice));
        Ok(match chain_of(signer)? {
            Some(chain) => account.on_chain(chain),
            None => account,
        })
    }

    /// The secrets of a wallet. Asks for its password where it has one that is not in `SOMA_PASSWORD`.
    pub async fn unlock(&self, name: Option<&str>) -> CliResult<Secret> {
        let wallets = self.wallets()?;
        let name = wallets.resolve(name)?;
        let password = if wallets.info(&name)?.encrypted {
            Some(match variable(PASSWORD_VARIABLE)? {
                Some(password) => Zeroizing::new(password),
                None => ask(&name).await?,
            })
        } else {
            None
        };
        // Slow on purpose where a password is set.
        let export = move || wallets.export(&name, password.as_ref().map(|password| password.as_str()));
        Ok(tokio::task::spawn_blocking(export).await??)
    }

    /// Who is to be paid: given whole, by a wallet's name, or one of the own wallets by what tables show. A
    /// short form of another's address is not enough: whoever wants the money can make one that looks the
    /// same.
    pub fn payee(&self, text: &str) -> CliResult<Address> {
        match self.named(Some(text))? {
            Named::Whole(address) => Ok(address),
            Named::Part(part) => part
                .pick("wallet", self.own()?)
                .map_err(|error| error.hint("a payment needs the whole address, or a wallet's name")),
        }
    }

    /// An account to look at: whole, by a wallet's name or of the wallet in use, or as tables show the own
    /// wallets, validators and owners of models.
    pub async fn account_named(&self, account: Option<&str>) -> CliResult<Address> {
        match self.named(account)? {
            Named::Whole(address) => Ok(address),
            Named::Part(part) => {
                let node = self.node()?;
                let mut known = self.own()?;
                known.extend(node.validators().await?.iter().map(|view| view.validator.address));
                let models = node.models(&ModelFilter::default()).await?;
                known.extend(models.iter().map(|view| view.model.owner));
                part.pick("account", known).map_err(|error| {
                    error.hint("short forms are known of your wallets, validators and owners of models; give more digits, or all")
                })
            }
        }
    }

    fn named(&self, account: Option<&str>) -> CliResult<Named> {
        let text = account.map(str::trim);
        let Some(id) = text.and_then(id_text) else {
            let wallets = self.wallets()?;
            let name = wallets.resolve(text)?;
            return Ok(Named::Whole(wallets.info(&name)?.address));
        };
        match id.parse::<Address>() {
            Ok(address) => {
                self.refuse_own_key(&address)?;
                Ok(Named::Whole(address))
            }
            Err(error) => {
                match id.parse() {
                    Ok(part) => Ok(Named::Part(part)),
                    Err(_) => Err(CliError::usage(error)
                        .hint("`soma wallet list` shows yours; a wallet's name will do")),
                }
            }
        }
    }

    /// The addresses of the own wallets.
    fn own(&self) -> CliResult<BTreeSet<Address>> {
        let listing = self.wallets()?.list()?;
        Ok(listing.wallets.iter().map(|wallet| wallet.address).collect())
    }

    /// A secret key looks like an address. Published in a transaction, it is everybody's.
    fn refuse_own_key(&self, address: &Address) -> CliResult {
        // Who has no wallets has no keys.
        let Ok(listing) = self.wallets().and_then(|wallets| Ok(wallets.list()?)) else {
            return Ok(());
        };
        let of_key = Keypair::from_secret_bytes(*address.as_bytes()).address();
        match listing.wallets.iter().find(|wallet| wallet.address == of_key) {
            Some(wallet) => Err(CliError::usage(format!(
                "that is the secret key of wallet '{}', not an address",
                wallet.name
            ))
            .hint(format!(
                "its address is {of_key}. Others may see what is typed on a command line: move the funds if they may have"
            ))),
            None => Ok(()),
        }
    }
}

/// What names an account.
enum Named {
    /// All of its address is known.
    Whole(Address),
    /// Its first digits, or its short form.
    Part(Reference),
}

/// Downloads models within the network's limits; from private addresses only on localnets.
pub fn experts(node: &NodeClient, params: &Params) -> Result<Experts, soma_blobs::FetchError> {
    let policy = FetchPolicy {
        size_bytes_max: params.weights_size_max_bytes.max(params.data_size_max_bytes()),
        timeout: FETCH_TIMEOUT,
        pace: Some(FETCH_PACE),
        private_addresses: params.preset == Preset::Local,
        ..FetchPolicy::default()
    };
    Ok(Experts::new(Downloader::new(node.clone(), policy)?))
}

/// The chain that is signed for, where someone said so.
fn chain_of(signer: &Signer) -> CliResult<Option<ChainId>> {
    if signer.chain.is_some() {
        return Ok(signer.chain);
    }
    let parsed = variable(CHAIN_VARIABLE)?.map(|text| text.parse());
    parsed
        .transpose()
        .map_err(|error| CliError::usage(format!("{CHAIN_VARIABLE}: {error}")))
}

/// The password that a new wallet is encrypted with: from `SOMA_PASSWORD`, or typed twice at `terminal`;
/// `None` for a bare key.
pub async fn new_password(name: &str, terminal: Option<&Terminal>) -> CliResult<Option<Zeroizing<String>>> {
    let password = match (variable(PASSWORD_VARIABLE)?, terminal) {
        (Some(password), _) => Zeroizing::new(password),
        (None, Some(terminal)) => match choose(name, terminal).await? {
            Some(password) => password,
            None => return Ok(None),
        },
        // Most likely whatever was to fill it is missing: nobody wants a bare key by accident.
        (None, None) if env::var_os(PASSWORD_VARIABLE).is_some() => {
            return Err(CliError::usage(format!(
                "{PASSWORD_VARIABLE} is set, but empty: the key would not be encrypted"
            ))
            .hint("give it the password, or unset it for a key that whoever has the file can use"));
        }
        (None, None) => return Ok(None),
    };
    keyfile::check_password(&password).map_err(CliError::usage)?;
    Ok(Some(password))
}

/// Asks for a new password until it is typed twice the same; `None` for none.
async fn choose(name: &str, terminal: &Terminal) -> CliResult<Option<Zeroizing<String>>> {
    loop {
        let prompt = format!("Password to encrypt wallet '{name}' with (empty: none): ");
        let first = terminal.ask(&prompt).await?.ok_or_else(CliError::interrupted)?;
        if first.is_empty() {
            return Ok(None);
        }
        if let Err(error) = keyfile::check_password(&first) {
            terminal.tell(&error.to_string())?;
            continue;
        }
        let second = terminal
            .ask("The same again: ")
            .await?
            .ok_or_else(CliError::interrupted)?;
        if first == second {
            return Ok(Some(first));
        }
        terminal.tell("They differ.")?;
    }
}

/// Asks for a wallet's password at the terminal.
async fn ask(name: &str) -> CliResult<Zeroizing<String>> {
    let needed = || CliError::new(format!("wallet '{name}' is encrypted, and no password was given"));
    let Some(terminal) = Terminal::open() else {
        return Err(needed().hint(format!(
            "set {PASSWORD_VARIABLE}, or run the command in a terminal to be asked"
        )));
    };
    let password = terminal.ask(&format!("Password of wallet '{name}': ")).await?;
    password
        .filter(|password| !password.is_empty())
        .ok_or_else(needed)
}

/// A variable of the environment; empty, it is as if it were not set. What it holds stays out of errors.
fn variable(name: &str) -> CliResult<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(CliError::usage(format!("the value of {name} is not UTF-8"))
            .hint("set it in a terminal or a file whose encoding is UTF-8")),
    }
}
