//! `softsim-lab`: a home network in a box.

mod demo;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, Parser, Subcommand};
use softsim_issuer::{IssuerSigningKey, profile_toml};
use softsim_lab_harness::error::{Error, Result};
use softsim_lab_harness::gateway::{self, Gateway};
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::name_server::{NameServer, Zone};
use softsim_lab_harness::processes::ProcessError;
use softsim_lab_simulators::pki::{Authority, SERVER_NAME};
use softsim_lwm2m::ContentFormat;
use softsim_sandbox::exit_status::{DATA, REFUSED, SOFTWARE, UNAVAILABLE, USAGE};
use tokio::signal::unix::{SignalKind, signal};

/// A home network in a box: AuC, EAP-AKA' server, LwM2M servers, and a gateway to try them with.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the lab with a gateway that is enrolled and provisioned over the network.
    ///
    /// Prints the addresses and paths as KEY=VALUE lines, then READY, and runs until SIGINT or
    /// SIGTERM.
    Up {
        #[command(flatten)]
        place: Place,
        /// A profile file [default: a random profile].
        #[arg(long, value_name = "FILE")]
        profile: Option<PathBuf>,
        /// The format in which the bootstrap server writes: tlv or senml-cbor.
        #[arg(long, value_name = "FORMAT", default_value = "tlv", value_parser = format)]
        format: ContentFormat,
    },
    /// Enrols a gateway that runs elsewhere, and starts the servers for it.
    ///
    /// Prints their addresses as KEY=VALUE lines, then READY, and runs until SIGINT or SIGTERM. The
    /// folder has the files that the gateway's netd needs, ca.pem and radius.secret.
    Serve {
        /// The lab's folder: new, or empty.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The admin socket of the gateway's keyd.
        #[arg(long, value_name = "PATH")]
        admin: PathBuf,
        /// The address on which the servers listen.
        #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::from(Ipv4Addr::LOCALHOST))]
        listen: IpAddr,
        /// The servers' name, by which the gateway finds them and which their certificates have.
        #[arg(long, value_name = "NAME", default_value = SERVER_NAME)]
        san: String,
        /// The address, at port 53, of a name server that knows this name.
        #[arg(long, value_name = "ADDRESS")]
        names: Option<IpAddr>,
    },
    /// Runs the journey from the factory to an authentication, and prints what it checked.
    Demo {
        /// The demo's folder, new or empty [default: a temporary one].
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Authenticate against Debian's hostapd instead of the lab's own server.
        #[arg(long)]
        hostapd: bool,
    },
    /// Starts keyd and netd only, with a profile and without any server.
    Keyd {
        #[command(flatten)]
        place: Place,
        /// A profile file.
        #[arg(long, value_name = "FILE")]
        profile: PathBuf,
    },
}

#[derive(Args)]
struct Place {
    /// The lab's folder: new, or empty.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Write the messages between the daemons to DIR/ipc.record. They hold RES, and MSKs that
    /// servers sent.
    #[arg(long)]
    record: bool,
}

fn format(name: &str) -> std::result::Result<ContentFormat, String> {
    match name {
        "tlv" => Ok(ContentFormat::Tlv),
        "senml-cbor" => Ok(ContentFormat::SenmlCbor),
        other => Err(format!("expected tlv or senml-cbor, got {other}")),
    }
}

fn main() -> ExitCode {
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command,
        Err(error) => return not_a_command(&error),
    };
    let outcome = match command {
        Command::Up {
            place,
            profile,
            format,
        } => up(&place, profile.as_deref(), format),
        Command::Serve {
            dir,
            admin,
            listen,
            san,
            names,
        } => serve(&dir, admin, (listen, san), names),
        Command::Demo { dir, hostapd } => demo(dir, hostapd),
        Command::Keyd { place, profile } => keyd(&place, &profile),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("softsim-lab: {error}");
            ExitCode::from(exit_status(&error))
        }
    }
}

/// Help and version aren't errors, although clap reports them as such.
fn not_a_command(error: &clap::Error) -> ExitCode {
    // If it can't be written, the status still says it.
    let _ = error.print();
    match error.use_stderr() {
        true => ExitCode::from(USAGE),
        false => ExitCode::SUCCESS,
    }
}

fn exit_status(error: &Error) -> u8 {
    match error {
        Error::Profile(_) | Error::Certificate(_) | Error::Pki(_) | Error::Seal(_) => DATA,
        Error::Process(_) | Error::Keyd(_) | Error::Netd(_) | Error::Server(_) => UNAVAILABLE,
        Error::Failed { .. } | Error::Request(_) => REFUSED,
        Error::Missing(_) => SOFTWARE,
    }
}

fn up(place: &Place, profile: Option<&Path>, format: ContentFormat) -> Result<()> {
    let ended = Ended::watch()?;
    let options = Options {
        profile: profile.map(read).transpose()?,
        format,
        gateway: place.gateway(),
        ..Options::default()
    };
    let home = Home::up(&place.dir, options)?;
    print_gateway(home.gateway());
    print_servers(&home);
    println!("READY");
    ended.wait();
    Ok(())
}

fn serve(
    folder: &Path,
    admin: PathBuf,
    (listen, name): (IpAddr, String),
    names: Option<IpAddr>,
) -> Result<()> {
    let ended = Ended::watch()?;
    let options = Options {
        listen,
        host: Some(name.clone()),
        gateway: gateway::Options {
            elsewhere: Some(admin),
            ..gateway::Options::default()
        },
        ..Options::default()
    };
    let home = Home::start(folder, options)?;
    home.plan(&home.enrol()?)?;
    let zone = Zone {
        names: [(name, vec![listen])].into(),
        long: false,
    };
    let _names = names.map(|at| NameServer::start(at, zone)).transpose()?;
    print_servers(&home);
    println!("READY");
    ended.wait();
    Ok(())
}

fn demo(folder: Option<PathBuf>, hostapd: bool) -> Result<()> {
    // It is removed at the end.
    let temporary = tempfile::tempdir()?;
    let folder = folder.unwrap_or_else(|| temporary.path().join("lab"));
    if demo::run(&folder, hostapd)? {
        println!("\nnext: \"Five-minute tour\" in README.md, with the same programs");
        Ok(())
    } else {
        Err(Error::Missing("every line of the table to be ok"))
    }
}

fn keyd(place: &Place, profile: &Path) -> Result<()> {
    let ended = Ended::watch()?;
    let profile = profile_toml::parse(&read(profile)?)?;
    let mut gateway = Gateway::start(&place.dir, place.gateway())?;
    let issuer = IssuerSigningKey::generate();
    let enrolled = gateway.enrol(&Authority::new("softsim lab")?, &issuer)?;
    gateway.install(&enrolled.seal(&profile, &issuer, 1)?)?;
    gateway.start_netd(None)?;
    print_gateway(&gateway);
    println!("READY");
    ended.wait();
    Ok(())
}

impl Place {
    fn gateway(&self) -> gateway::Options {
        gateway::Options {
            record: self.record,
            ..gateway::Options::default()
        }
    }
}

fn read(profile: &Path) -> Result<String> {
    fs::read_to_string(profile).map_err(|source| {
        Error::Process(ProcessError::File {
            path: profile.to_owned(),
            source,
        })
    })
}

/// The servers' addresses, with their name if they have one.
fn print_servers(home: &Home) {
    println!("SOFTSIM_RADIUS={}", home.at(home.radius()));
    println!(
        "SOFTSIM_RADIUS_SECRET_FILE={}",
        home.radius_secret_file().display()
    );
    println!("SOFTSIM_AUC_SOCKET={}", home.auc_socket().display());
    for (name, address) in [
        ("BOOTSTRAP", home.bootstrap_server().address()),
        ("MANAGEMENT", home.management_server().address()),
    ] {
        println!("SOFTSIM_{name}_SERVER={}", home.at(address));
    }
}

/// Prints the variables that softsimctl and the SDK read from the environment.
fn print_gateway(gateway: &Gateway) {
    let sockets = gateway.sockets();
    println!("SOFTSIM_ADMIN_SOCKET={}", sockets.admin.display());
    println!("SOFTSIM_NETWORK_SOCKET={}", sockets.network.display());
    println!("SOFTSIM_APP_SOCKET={}", sockets.app.display());
    println!("SOFTSIM_NETD_SOCKET={}", sockets.netd.display());
    println!(
        "SOFTSIM_NETD_MONITOR_SOCKET={}",
        sockets.netd_monitor.display()
    );
    if let Some(keyd) = gateway.keyd() {
        println!("SOFTSIM_KEYD_PID={}", keyd.id());
    }
    if let Some(netd) = gateway.netd() {
        println!("SOFTSIM_NETD_PID={}", netd.id());
    }
}

/// Waits for the signals that end the lab. The lab handles them before it starts anything, so that
/// an early signal doesn't leave a daemon behind.
struct Ended {
    runtime: tokio::runtime::Runtime,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Ended {
    fn watch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let _context = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        drop(_context);
        Ok(Self {
            runtime,
            interrupt,
            terminate,
        })
    }

    fn wait(mut self) {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        });
    }
}
