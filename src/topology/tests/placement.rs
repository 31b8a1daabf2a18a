//! Profiles, explicit placements, and each rule that refuses one.

use topology::{AgentName, BackPressure, Config, Idle, Layout, Thread, Topology, TopologyError};

use AgentName::{Feed, Gateway, Housekeeping, Kill, Oms, Strategy};

const SIX: [usize; 6] = [0, 1, 2, 3, 4, 5];

fn config(text: &str) -> Config {
    Config::parse(text).map_err(|e| e.to_string()).expect("a valid configuration")
}

fn build(text: &str, cores: &[usize]) -> Result<Topology, TopologyError> {
    Topology::build(&config(text), cores)
}

fn compact() -> Topology {
    build("", &[0, 1]).expect("two cores will do")
}

fn place(t: &Topology, agent: AgentName) -> (&str, Option<usize>) {
    let thread = t.thread_of(agent).expect("every agent is placed");
    (&thread.name, thread.core)
}

#[test]
fn auto_is_compact_below_six_cores_and_spread_from_there() {
    for n in 1..=8 {
        let cores: Vec<usize> = (10..10 + n).collect();
        let t = build("", &cores).expect("auto fits every host");
        let want = if n < 6 { Layout::Compact } else { Layout::Spread };
        assert_eq!((t.layout, &t.cores), (want, &cores));
    }
    assert_eq!(build("engine.profile = 'compact'", &SIX).map(|t| t.layout), Ok(Layout::Compact));
}

#[test]
fn compact_keeps_the_hot_agents_in_order_on_one_core() {
    let t = compact();
    assert_eq!(t.threads[0].agents, [Feed, Strategy, Oms, Gateway]);
    assert_eq!((t.threads[0].core, t.threads[0].idle), (Some(1), Idle::Pause));
    assert_eq!(place(&t, Kill), ("kill", Some(0)));
    assert_eq!(place(&t, Housekeeping), ("housekeeping", Some(0)));
    assert_eq!(t.thread_of(Kill).map(|t| t.idle), Some(Idle::Park { ns: 200_000 }));
}

#[test]
fn one_core_is_shared_politely() {
    let t = build("", &[7]).expect("one core will do");
    assert!(t.threads.iter().all(|t| t.core == Some(7)));
    assert_eq!(t.threads[0].idle, Idle::Yield);
}

#[test]
fn spread_gives_each_agent_a_core() {
    let t = build("runtime.idle = 'spin'", &[9, 8, 7, 6, 5, 4, 3]).expect("seven cores");
    let mut cores: Vec<Option<usize>> = AgentName::ALL.iter().map(|&a| place(&t, a).1).collect();
    assert_eq!(cores, [6, 7, 8, 9, 5, 3].map(Some));
    cores.sort_unstable();
    cores.dedup();
    assert_eq!(cores.len(), 6);
    assert!(t.threads.iter().filter(|t| t.agents != [Housekeeping]).all(|t| t.idle == Idle::Spin));
}

#[test]
fn cores_are_those_chosen() {
    assert_eq!(build("runtime.cores = [3, 2]", &SIX).map(|t| t.cores), Ok(vec![2, 3]));
    let e = build("runtime.cores = [2, 9]", &SIX);
    assert_eq!(e, Err(TopologyError::NotAllowed { core: 9, cores: SIX.to_vec() }));
}

#[test]
fn fifo_is_for_those_who_never_sleep_and_have_a_core_to_themselves() {
    let t = build("runtime.fifo_priority = 40", &[0, 1]).expect("hot is alone on core 1");
    let fifo: Vec<Option<u8>> = t.threads.iter().map(|t| t.fifo).collect();
    assert_eq!(fifo, [Some(40), None, None]);
    let e = build("runtime.fifo_priority = 40", &[0]);
    let want = TopologyError::Starved { core: 0, thread: "hot".into(), other: "kill".into() };
    assert_eq!(e, Err(want));
}

const EXPLICIT: &str = r#"
[[thread]]
name = "hot"
agents = ["feed", "strategy", "oms", "gateway"]
core = 1
[[thread]]
name = "stop"
agents = ["kill"]
core = 0
idle = "park"
park_us = 100
[[thread]]
name = "rest"
agents = ["housekeeping"]
core = 0
idle = "yield"
"#;

#[test]
fn an_explicit_table_is_taken_as_it_stands() {
    let t = build(EXPLICIT, &[0, 1]).expect("a valid table");
    assert_eq!(t.layout, Layout::Explicit);
    assert_eq!(place(&t, Gateway), ("hot", Some(1)));
    assert_eq!(t.thread_of(Kill).map(|t| t.idle), Some(Idle::Park { ns: 100_000 }));
    assert_eq!(t.thread_of(Housekeeping).map(|t| t.idle), Some(Idle::Yield));
}

#[test]
fn each_rule_of_the_table_refuses() {
    let with = |from: &str, to: &str| {
        assert!(EXPLICIT.contains(from), "{from}");
        build(&EXPLICIT.replacen(from, to, 1), &[0, 1]).expect_err(to)
    };
    let e = with("\"feed\", ", "");
    assert_eq!(e, TopologyError::NotPlaced { agent: Feed });
    let e = with("[\"housekeeping\"]", "[\"housekeeping\", \"oms\"]");
    assert_eq!(e, TopologyError::PlacedTwice { agent: Oms, first: "hot".into(), second: "rest".into() });
    let e = with("\"feed\", ", "\"feed\", \"feed\", ");
    assert_eq!(e, TopologyError::PlacedTwice { agent: Feed, first: "hot".into(), second: "hot".into() });
    let merged = EXPLICIT
        .replace("\"kill\"]", "\"kill\", \"housekeeping\"]")
        .replace("agents = [\"housekeeping\"]", "agents = []");
    let e = build(&merged, &[0, 1]).expect_err("kill must be alone");
    assert_eq!(e, TopologyError::KillNotAlone { thread: "stop".into(), with: Housekeeping });
    let e = with("name = \"rest\"", "name = \"hot\"");
    assert_eq!(e, TopologyError::ThreadTwice { name: "hot".into() });
    let e = with("[[thread]]", "[[thread]]\nname = \"none\"\nagents = []\n[[thread]]");
    assert_eq!(e, TopologyError::ThreadEmpty { name: "none".into() });
    let e = with("core = 1", "core = 6");
    assert_eq!(e, TopologyError::NoSuchCore { thread: "hot".into(), core: 6, cores: vec![0, 1] });
    let e = with("core = 1", "core = 0");
    assert_eq!(e, TopologyError::CoreContended { core: 0, spins: "hot".into(), other: "rest".into() });
    let fifo = format!("runtime.fifo_priority = 1\n{}", EXPLICIT.replacen("core = 1", "", 1));
    assert_eq!(build(&fifo, &[0, 1]), Err(TopologyError::FifoUnpinned { thread: "hot".into() }));
    let e = build("engine.profile = 'spread'", &SIX[..5]);
    assert_eq!(e, Err(TopologyError::TooFewCores { layout: Layout::Spread, need: 6, have: 5 }));
    for n in 0..6 {
        let e = build("engine.profile = 'spread'", &SIX[..n]);
        assert!(matches!(e, Err(TopologyError::TooFewCores { have, .. }) if have == n));
    }
    let e = build("", &[]);
    assert_eq!(e, Err(TopologyError::TooFewCores { layout: Layout::Compact, need: 1, have: 0 }));
}

#[test]
fn agents_are_known_by_name() {
    for agent in AgentName::ALL {
        assert_eq!(agent.name().parse(), Ok(agent));
    }
    let e = "fed".parse::<AgentName>();
    assert_eq!(e, Err(TopologyError::UnknownAgent { name: "fed".into() }));
}

#[test]
fn each_rule_of_the_rings_refuses() {
    let with = |change: &dyn Fn(&mut Topology)| {
        let mut t = compact();
        change(&mut t);
        t.validate().expect_err("a broken ring")
    };
    for capacity in [0, 1, 63, 100, 1 << 21] {
        let e = with(&|t| t.rings[2].capacity = capacity);
        assert_eq!(e, TopologyError::RingCapacity { ring: "signal", capacity });
    }
    let e = with(&|t| t.rings[3].consumer = Oms);
    assert_eq!(e, TopologyError::RingLoop { ring: "order", agent: Oms });
    let e = with(&|t| t.rings[1].name = "market_strategy");
    assert_eq!(e, TopologyError::RingTwice { ring: "market_strategy" });
    let idle = Thread { name: "x".into(), agents: vec![], core: None, idle: Idle::Yield, fifo: None };
    assert_eq!(with(&|t| t.threads.push(idle.clone())), TopologyError::ThreadEmpty { name: "x".into() });
}

#[test]
fn rings_follow_the_configuration() {
    let t = build("rings.order = 64", &[0, 1]).expect("valid");
    let (number, order) = t.ring("order").expect("it is in the table");
    assert_eq!((number, order.capacity, order.when_full), (3, 64, BackPressure::Refuse));
    assert_eq!((order.producer, order.consumer), (Oms, Gateway));
    assert!(t.ring("odrer").is_none());
}

#[test]
fn it_reads_aloud() {
    let want = "\
layout compact, cores 0 1

agent         thread        core  idle         class   reads                             writes
feed          hot           1     pause        normal  -                                 market_strategy, market_oms
strategy      hot           1     pause        normal  market_strategy, report_strategy  signal
oms           hot           1     pause        normal  market_oms, signal, report_oms    order, report_strategy
gateway       hot           1     pause        normal  order                             report_oms
kill          kill          0     park 200 us  normal  -                                 -
housekeeping  housekeeping  0     park 200 us  normal  -                                 -

ring             from      to        slots  when full
market_strategy  feed      strategy  16384  drop and count; the consumer resynchronises before it acts
market_oms       feed      oms       16384  drop and count; the consumer resynchronises before it acts
signal           strategy  oms       1024   refuse the message with a reason
order            oms       gateway   1024   refuse the message with a reason
report_oms       gateway   oms       4096   the producer takes no more input until there is room
report_strategy  oms       strategy  4096   trading halts; a consumer that missed an answer must not go on
";
    assert_eq!(compact().to_string(), want);
}

const APART: &str = "journal.on = false\nruntime.apart = ['strategy', 'gateway']";

#[test]
fn agents_apart_have_threads_of_their_own_and_cores_where_there_are_enough() {
    let t = build(APART, &[0, 1]).expect("two cores are shared");
    assert_eq!(t.threads[0].agents, [Feed, Oms]);
    assert!([Feed, Strategy, Gateway].iter().all(|&a| t.thread_of(a).map(|t| t.idle) == Some(Idle::Yield)));
    assert_eq!((place(&t, Strategy), place(&t, Gateway)), (("strategy", Some(1)), ("gateway", Some(1))));
    let t = build(APART, &[4, 5, 6, 7]).expect("four cores");
    assert_eq!([Oms, Strategy, Gateway, Kill].map(|a| place(&t, a).1), [Some(7), Some(6), Some(5), Some(4)]);
    assert_eq!(t.thread_of(Gateway).map(|t| t.idle), Some(Idle::Pause));
    assert_eq!(build(APART, &SIX).map(|t| t.layout), Ok(Layout::Spread));
    let shared = format!(
        "{APART}\n[[thread]]\nname = 'hot'\nagents = ['feed', 'strategy', 'oms', 'gateway']\n[[thread]]\n\
         name = 'kill'\nagents = ['kill']\n[[thread]]\nname = 'rest'\nagents = ['housekeeping']"
    );
    let want = TopologyError::NotApart { agent: Strategy, thread: "hot".into(), with: Feed };
    assert_eq!(build(&shared, &SIX), Err(want));
}

#[test]
fn who_cannot_live_apart_is_refused_by_name() {
    for (text, says) in [
        (
            "journal.on = false\nruntime.apart = ['oms']",
            "runtime.apart[0] = oms: must be strategy or gateway",
        ),
        (
            "journal.on = false\nruntime.apart = ['strategy', 'strategy']",
            "runtime.apart[1] = strategy: must be named once",
        ),
        ("runtime.apart = ['strategy']", "runtime.apart = [strategy]: must be empty while journal.on = true"),
        ("journal.on = false\nruntime.apart = ['nobody']", "runtime.apart"),
        ("runtime.away_ms = 9", "runtime.away_ms = 9: must be 10..=60000"),
    ] {
        let refused = Config::parse(text).expect_err(text).to_string();
        assert!(refused.contains(says), "{text}: {refused}");
    }
}
