//! Three brokers that are one cluster, each a controller too, each to be killed, paused and cut off by itself.
//!
//! Replication is as a careful operator has it: three replicas, two of which must have a record before it is
//! acknowledged. A broker that is gone is given up after three seconds (Kafka's default is nine), so that the
//! faults take less time; leaders go back to where they belong within seconds of a broker's return. The clients of
//! the tests speak to the brokers directly, Consentry through a [`Link`] each.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::disk::Disk;
use super::link::Link;
use crate::kafka::broker::{Broker, free_port};
use crate::kafka::clients::{Reader, Row, Transactions};
use crate::kafka::topics::Topics;
use crate::kafka::wait::{secs, until};

/// How many.
pub const NODES: usize = 3;

/// Whose disk can be filled.
pub const DISK: usize = 2;

/// The brokers, by their place; a broker's id is one more.
pub struct Cluster {
    pub nodes: Vec<Broker>,
    pub links: Vec<Link>,
    /// Of all brokers, without a link between.
    pub address: String,
    /// The disk of the broker at [`DISK`], or why it has none of its own.
    pub disk: Result<Disk, String>,
    asks: BaseConsumer,
}

impl Cluster {
    /// Starts all three at once and waits until they are one.
    pub fn start(class_path: &str) -> Self {
        let ports: Vec<[u16; 3]> = (0..NODES).map(|_| [free_port(), free_port(), free_port()]).collect();
        let links: Vec<Link> = ports.iter().map(|[_, port, _]| Link::to(*port)).collect();
        let node = |place: usize| {
            let properties = properties(place, &ports, &links[place]);
            Broker::new(class_path, ports[place][0], &properties, "-Xmx384m")
        };
        let mut nodes: Vec<Broker> = (0..NODES).map(node).collect();
        let disk = Disk::at(&nodes[DISK].data());
        nodes[DISK].within = disk.as_ref().map(Disk::enter).unwrap_or_default();
        std::thread::scope(|scope| {
            for node in &nodes {
                scope.spawn(|| {
                    node.format(&[]);
                    node.launch();
                });
            }
        });
        let address = nodes.iter().map(|node| node.address.as_str()).collect::<Vec<_>>().join(",");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &address).set("log_level", "0");
        // Without a group: whoever asks for one has the brokers make the topic of offsets, and before all are there
        // some would lead nothing of it.
        let asks = config.create().expect("a client");
        let cluster = Self { nodes, links, address, disk, asks };
        cluster.wait_whole();
        cluster.make_internal();
        cluster
    }

    /// Makes the topics in which the brokers keep offsets and transactions, each partition led by another broker, as
    /// the brokers would make them; and has both used once.
    fn make_internal(&self) {
        let topics = Topics::new(&self.address);
        let replicas: Vec<Vec<i32>> = (0..NODES).map(replicas).collect();
        let replicas: Vec<&[i32]> = replicas.iter().map(Vec::as_slice).collect();
        for topic in ["__consumer_offsets", "__transaction_state"] {
            topics.place(topic, &replicas, &[("cleanup.policy", "compact"), ("min.insync.replicas", "2")]);
        }
        topics.create("first", 1, &[]);
        let first = Transactions::new(&self.address, "first");
        first.begin("first", &[Row { value: Some(b"first".to_vec()), ..Row::default() }]);
        first.commit();
        assert!(Reader::new(&self.address, "first").until(secs(30), |rows| !rows.is_empty()));
        crate::kafka::clients::progress(&self.address, "first", "first");
    }

    /// Begins to have everything as it was before any fault.
    pub fn mend(&self) {
        self.links.iter().for_each(Link::mend);
        for node in &self.nodes {
            if node.is_there() { node.carry_on() } else { node.launch() }
        }
    }

    /// Waits until every broker is there, every replica in step, and every leader where it belongs.
    pub fn wait_whole(&self) {
        until(secs(120), || self.lacks().is_none(), || self.lacks().unwrap_or_default());
    }

    fn lacks(&self) -> Option<String> {
        let all = match self.asks.fetch_metadata(None, secs(5)) {
            Ok(all) => all,
            Err(error) => return Some(error.to_string()),
        };
        if all.brokers().len() < NODES {
            return Some(format!("{} of {NODES} brokers are there", all.brokers().len()));
        }
        all.topics().iter().find_map(|topic| {
            let odd = topic.partitions().iter().find(|partition| {
                partition.isr().len() < partition.replicas().len()
                    || Some(&partition.leader()) != partition.replicas().first()
            })?;
            Some(format!(
                "`{}` {}: leader {}, replicas {:?}, in step {:?}",
                topic.name(),
                odd.id(),
                odd.leader(),
                odd.replicas(),
                odd.isr()
            ))
        })
    }
}

/// The replicas of a partition that is led by this one: its broker's id first.
pub fn replicas(leader: usize) -> Vec<i32> {
    (0..NODES).map(|step| i32::try_from((leader + step) % NODES + 1).expect("few")).collect()
}

/// The place of the broker that coordinates a group or a transactional id, when all are there: as the brokers find it,
/// by Java's `String.hashCode`, and then the leader of that partition.
pub fn coordinator(name: &str) -> usize {
    let hash = name.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
    hash.checked_abs().unwrap_or(0).unsigned_abs() as usize % NODES
}

fn properties(place: usize, ports: &[[u16; 3]], link: &Link) -> String {
    let [port, linked, controller] = ports[place];
    let voters: Vec<String> =
        (1..).zip(ports).map(|(id, [_, _, port])| format!("{id}@127.0.0.1:{port}")).collect();
    format!(
        "node.id={}\n\
         controller.quorum.voters={}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},LINK://127.0.0.1:{linked},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},LINK://{}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LINK:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         default.replication.factor=3\n\
         min.insync.replicas=2\n\
         offsets.topic.replication.factor=3\n\
         offsets.topic.num.partitions={NODES}\n\
         transaction.state.log.replication.factor=3\n\
         transaction.state.log.min.isr=2\n\
         transaction.state.log.num.partitions={NODES}\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n\
         log.cleaner.backoff.ms=1000\n\
         leader.imbalance.check.interval.seconds=2\n\
         leader.imbalance.per.broker.percentage=0\n",
        place + 1,
        voters.join(","),
        link.address,
    )
}

#[test]
fn a_coordinator_is_found_as_the_brokers_find_it() {
    assert_eq!(coordinator("a"), 97 % 3);
    assert_eq!(coordinator("polygenelubricants"), 0, "Java's smallest integer");
}
