//! Sends lines in UDP datagrams, to which no server answers.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::vec;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use tokio::net::{UdpSocket, lookup_host};

use crate::encode::dialect::Dialect;
use crate::encoder::Encoder;
use crate::line::Line;
use crate::point::point_error::PointError;

/// A UDP listener for line protocol, as in InfluxDB 1, Telegraf and VictoriaMetrics; a target for a [`UdpWriter`](crate::UdpWriter).
///
/// There is no answer. What was sent may be lost on its way, and a line that the server can't read makes it lose the whole datagram.
/// The listener must expect nanoseconds, as InfluxDB's does by default.
///
/// # Examples
///
/// ```
/// use buffer_influx::Udp;
///
/// let target = Udp::new("localhost:8089").datagram_bytes(8_192);
/// assert_eq!(format!("{target:?}"), r#"Udp { address: "localhost:8089", datagram_bytes: 8192, dialect: Influx1 }"#);
/// ```
#[derive(Debug, Clone)]
pub struct Udp {
    address: String,
    datagram_bytes: usize,
    dialect: Dialect,
}

impl Udp {
    /// The largest datagram there is.
    pub(crate) const MOST_BYTES: usize = 65_507;

    /// The listener at `address`, a host and a port. The host is looked up for each batch.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            datagram_bytes: 1_400,
            dialect: Dialect::Influx1,
        }
    }

    /// The most bytes of a datagram, and so of a line. Default: 1,400, which no Ethernet divides; a divided datagram is lost if any of
    /// its pieces is. At most 65,507.
    #[must_use]
    pub fn datagram_bytes(mut self, bytes: usize) -> Self {
        self.datagram_bytes = bytes;
        self
    }

    /// The dialect of the listener. Default: [`Dialect::Influx1`].
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether the address is a host and a port. An address of IPv6 has brackets, or its end would be taken for the port.
    pub(crate) fn has_port(&self) -> bool {
        let Some((host, port)) = self.address.rsplit_once(':') else {
            return false;
        };
        let is_host =
            !host.is_empty() && (!host.contains(':') || host.starts_with('[') && host.ends_with(']'));
        is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.datagram_bytes
    }

    /// An encoder that refuses what does not fit into a datagram.
    pub(crate) fn encoder(&self) -> Encoder {
        Encoder::new(self.dialect)
            .longest_line(self.datagram_bytes)
            .without_unit()
    }

    /// The way for one batch: a socket that lived longer would stop working when its runtime dies.
    async fn way(&self) -> io::Result<Way> {
        let addresses: Vec<_> = lookup_host(&self.address).await?.collect();
        Way::to(addresses).await
    }
}

/// A socket to one of the listener's addresses, and those that were not tried yet.
struct Way {
    socket: UdpSocket,
    others: vec::IntoIter<SocketAddr>,
    /// Whether a host said that nobody listens at its last address.
    is_refused: bool,
}

impl Way {
    async fn to(addresses: Vec<SocketAddr>) -> io::Result<Self> {
        let mut others = addresses.into_iter();
        Ok(Self {
            socket: first_socket(&mut others).await?,
            others,
            is_refused: false,
        })
    }

    /// Hands a datagram to the network, and to the next address if a host says that nobody listens at this one: `localhost` may have
    /// an address of IPv6 for a listener that has only one of IPv4. What was sent to the last address is sent all the same.
    async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        while let Err(refused) = send(&self.socket, datagram).await {
            if refused.kind() != ErrorKind::ConnectionRefused {
                return Err(refused);
            }
            let Ok(socket) = first_socket(&mut self.others).await else {
                self.is_refused = true;
                return Ok(());
            };
            self.socket = socket;
        }
        Ok(())
    }
}

/// A socket to the first address that this host can send to. A name may have addresses of a family that the host lacks.
async fn first_socket(addresses: &mut impl Iterator<Item = SocketAddr>) -> io::Result<UdpSocket> {
    let mut failed = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match socket_to(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn socket_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// The sink: packs the lines of a batch into datagrams.
pub(crate) struct UdpSink {
    target: Udp,
    /// Whether nobody listened to the last batch. Relaxed: it keeps the log short, and publishes nothing.
    is_refused: AtomicBool,
}

impl UdpSink {
    pub(crate) fn new(target: Udp) -> Self {
        Self {
            target,
            is_refused: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Flush<Line> for UdpSink {
    /// What was sent is marked at once, so a failure midway repeats only what was not.
    async fn flush(&self, batch: &mut Batch<Line>) -> Result<(), FlushError> {
        let Self { target, is_refused } = self;
        let mut way = target.way().await.map_err(FlushError::unavailable)?;
        let mut first = 0;
        while first < batch.len() {
            let (datagram, end) = pack(&batch[first..], target.datagram_bytes);
            if datagram.len() > target.datagram_bytes {
                // A line of another encoder: to try it again would hold up the lines behind it, and then cost them, too.
                let (bytes, most) = (datagram.len(), target.datagram_bytes);
                batch.reject(first, PointError::LineTooLong { bytes, most });
                first += 1;
                continue;
            }
            way.send(&datagram).await.map_err(judge)?;
            let end = first + end;
            batch.deliver(first..end);
            first = end;
        }
        let was_refused = is_refused.swap(way.is_refused, Relaxed);
        if way.is_refused && !was_refused {
            let address = &target.address;
            tracing::warn!(%address, "nobody listens for the datagrams, which are lost; check that the listener runs and the address");
        }
        Ok(())
    }
}

/// Hands a datagram to the network. Fails with `ConnectionRefused` if the host says that nobody listens.
///
/// Such a word that comes instead of the sending answers an earlier datagram. So this one is sent once more, or it would be lost
/// although somebody may listen by now. On the same host the word is there as soon as the datagram is sent.
async fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match socket.send(datagram).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => socket.send(datagram).await?,
        sent => sent?,
    };
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// As many lines as fit, and their number. A line that does not fit even alone is alone.
fn pack(lines: &[Line], most_bytes: usize) -> (Vec<u8>, usize) {
    let mut datagram = Vec::with_capacity(most_bytes);
    let mut packed = 0;
    for line in lines {
        let text = line.as_bytes();
        if packed > 0 && datagram.len() + 1 + text.len() > most_bytes {
            break;
        }
        if packed > 0 {
            datagram.push(b'\n');
        }
        datagram.extend_from_slice(text);
        packed += 1;
    }
    (datagram, packed)
}

fn judge(error: io::Error) -> FlushError {
    match error.kind() {
        // A firewall of the host's own denies the permission.
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::PermissionDenied => FlushError::unavailable(error),
        _ => FlushError::transient(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_takes_as_many_lines_as_fit_and_splits_none() {
        let lines: Vec<Line> = ["a v=1 1", "b v=1 1", "c v=1 1"].map(Line::new).into();
        let packed = |most| {
            let (datagram, count) = pack(&lines, most);
            (String::from_utf8(datagram).expect("text"), count)
        };
        assert_eq!(packed(7), ("a v=1 1".to_owned(), 1));
        assert_eq!(packed(14), ("a v=1 1".to_owned(), 1));
        assert_eq!(packed(15), ("a v=1 1\nb v=1 1".to_owned(), 2));
        assert_eq!(packed(100).1, 3);
    }

    /// A link-local address without its link fails at `connect`, and on a host without IPv6 at `bind`. There it has failed on a copy
    /// that returned what `bind` said.
    #[tokio::test]
    async fn an_address_that_the_host_can_t_send_to_is_passed_over() {
        let unreachable: SocketAddr = "[fe80::1]:9".parse().expect("an address");
        let good: SocketAddr = "127.0.0.1:9".parse().expect("an address");
        let socket = first_socket(&mut [unreachable, good].into_iter())
            .await
            .expect("a socket");
        assert_eq!(socket.peer_addr().expect("connected"), good);
        assert!(first_socket(&mut [unreachable].into_iter()).await.is_err());
        let none = first_socket(&mut [].into_iter()).await.expect_err("no address");
        assert_eq!(none.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn datagrams_are_held_while_there_is_no_way_to_the_listener() {
        let shown = |kind: ErrorKind| format!("{:?}", judge(kind.into()));
        let held = |kind: ErrorKind| format!("{:?}", FlushError::unavailable(io::Error::from(kind)));
        for kind in [
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkUnreachable,
            ErrorKind::NetworkDown,
            ErrorKind::PermissionDenied,
        ] {
            assert_eq!(shown(kind), held(kind));
        }
        assert_ne!(shown(ErrorKind::Other), held(ErrorKind::Other));
    }

    #[tokio::test]
    async fn what_nobody_listens_for_goes_to_the_next_address() {
        let bound = || std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let (nobody, listener) = (bound(), bound());
        let addresses = [&nobody, &listener].map(|socket| socket.local_addr().expect("a bound socket"));
        drop(nobody);
        let mut way = Way::to(addresses.to_vec()).await.expect("a socket");
        way.send(b"m v=1 1").await.expect("sent");
        assert_eq!(way.socket.peer_addr().expect("connected"), addresses[1]);
        assert!(!way.is_refused);
        let mut datagram = [0; 20];
        assert_eq!(listener.recv(&mut datagram).expect("a datagram"), 7);
        drop(listener);
        for _ in 0..2 {
            way.send(b"m v=1 2").await.expect("sent all the same");
        }
        assert!(way.is_refused);
    }
}
