//! A real PostgreSQL on a free loopback port, with its data in a folder that goes with it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::port::free_port;

/// A running server; its data and its process are gone with its drop.
pub(crate) struct PostgresServer {
    folder: TempDir,
    port: u16,
    process: Child,
    runtime: Runtime,
    admin: Option<Client>,
}

/// What a healthy server needs only a fraction of, also after a crash.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Where the server's programs are, if they are installed. Debian has them in a folder for each version, outside of the path.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten();
    let debian = versions.flatten().map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain(debian);
    all.filter(|folder| folder.join("initdb").exists()).last()
}

impl PostgresServer {
    /// Starts an empty server, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not start; its log is in the message.
    pub(crate) fn start(programs: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let user = unprivileged(folder.path());
        let log = || {
            File::options()
                .create(true)
                .append(true)
                .open(folder.path().join("log"))
                .unwrap()
        };
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.arg("-D").arg(&data).current_dir("/");
            command.stdin(Stdio::null()).stdout(log()).stderr(log());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let initialised = command("initdb")
            .args([
                "-U",
                "postgres",
                "--auth=trust",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ])
            .status()
            .unwrap();
        let read_log = || fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(initialised.success(), "{}", read_log());
        let port = free_port();
        let process = command("postgres")
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .spawn()
            .unwrap();
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut server = Self {
            folder,
            port,
            process,
            runtime,
            admin: None,
        };
        server.query("SELECT 1");
        server
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Makes every statement that adds counts take a while, so that there is something to kill.
    pub(crate) fn slow_down(&mut self) {
        self.query(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(0.005); RETURN NULL; END $$;
             CREATE TRIGGER slow AFTER INSERT ON counters FOR EACH STATEMENT EXECUTE FUNCTION slow();",
        );
    }

    /// Ends the connections that are at a statement now; says how many.
    pub(crate) fn terminate_busy_backends(&mut self) -> usize {
        let terminate = format!("SELECT pg_terminate_backend(pid) FROM ({BUSY}) AS busy");
        self.query(&terminate).len()
    }

    /// Kills one that is at a statement now, as a crash would, if there is one; says how many.
    pub(crate) fn kill_a_busy_backend(&mut self) -> usize {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            let Some(pid) = self.query(BUSY).into_iter().next() else {
                continue;
            };
            let killed = Command::new("kill").args(["-KILL", &pid[0]]).status().unwrap();
            return usize::from(killed.success());
        }
        0
    }

    /// The totals that are stored.
    pub(crate) fn totals(&mut self) -> BTreeMap<String, i64> {
        let rows = self.query("SELECT key, total FROM counters").into_iter();
        rows.map(|row| (row[0].clone(), row[1].parse().unwrap()))
            .collect()
    }

    /// The rows of a query, asked again until the server answers.
    fn query(&mut self, query: &str) -> Vec<Vec<String>> {
        let begun = Instant::now();
        loop {
            let Self { runtime, admin, .. } = self;
            let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
            let answer = runtime.block_on(async {
                if admin.as_ref().is_none_or(Client::is_closed) {
                    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
                    tokio::spawn(connection);
                    *admin = Some(client);
                }
                admin.as_ref().expect("just connected").simple_query(query).await
            });
            match answer {
                Ok(messages) => return messages.iter().filter_map(row).collect(),
                Err(error) => {
                    let exited = self.process.try_wait().unwrap();
                    let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
                    assert!(
                        exited.is_none() && begun.elapsed() < READY_WITHIN,
                        "{error}: {log}"
                    );
                    self.admin = None;
                    // Not a test's clock: a server in the making is asked a few times a second.
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
}

/// The sink's connections that are at a statement.
const BUSY: &str =
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'counters' AND state = 'active'";

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // SIGQUIT: at once, with all its children. SIGKILL would leave those.
        let _ = Command::new("kill")
            .args(["-QUIT", &self.process.id().to_string()])
            .status();
        let _ = self.process.wait();
    }
}

fn row(message: &SimpleQueryMessage) -> Option<Vec<String>> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    Some(
        (0..row.len())
            .map(|column| row.get(column).unwrap_or_default().to_owned())
            .collect(),
    )
}

/// The user to run as, who owns `folder` then: PostgreSQL refuses to run as root. None where this is not root.
fn unprivileged(folder: &Path) -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    if id(&["-u"]) != 0 {
        return None;
    }
    let owned = Command::new("chown")
        .arg("-R")
        .arg("postgres:postgres")
        .arg(folder)
        .status()
        .unwrap();
    assert!(
        owned.success(),
        "there must be a user postgres, as Debian's package makes one"
    );
    Some((id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}
