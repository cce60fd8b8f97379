//! Restarts, flushes, many ports, many rounds.

use super::samples::{container, id};
use super::world::{HOST, OUTSIDE, Server, connect, eventually, greet, in_world, line, open, within};
use hull_ports::Networks;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

fn echo(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(format!("{text}\n").as_bytes()).unwrap();
    line(stream).unwrap()
}

#[test]
fn a_new_driver_adopts_what_runs() {
    in_world(|mut world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let gone = world.network("gone", "10.204.2.0/24", false).await;
        let specs = [container(5, "web", &[&a], &[(8080, 80)]), container(6, "other", &[&a], &[])];
        let web = open(&world.attach(&specs[0]).await);
        let other = open(&world.attach(&specs[1]).await);
        let left = world.attach(&container(7, "left", &[&a, &gone], &[(8082, 80)])).await;
        let _server = Server::start(&web, 80);
        let mut outside = connect(&world.outside, (HOST, 8080)).unwrap();
        let mut inside = connect(&other, (Ipv4Addr::new(10, 204, 1, 5), 80)).unwrap();
        assert_eq!(line(&mut outside).unwrap(), OUTSIDE.to_string());
        line(&mut inside).unwrap();
        let rebooted = container(9, "rebooted", &[&a], &[(8089, 80)]);

        world.restart().await;
        assert_eq!(echo(&mut outside, "between"), "between");
        let list = [specs[0].clone(), specs[1].clone(), rebooted.clone()];
        world.driver.restore(std::slice::from_ref(&a), &list).await.unwrap();

        assert_eq!(echo(&mut outside, "still here"), "still here");
        assert_eq!(echo(&mut inside, "me too"), "me too");
        assert_eq!(greet(&world.outside, (HOST, 8080)).unwrap(), OUTSIDE);
        assert!(
            !left.netns.exists()
                && world.census().links.iter().all(|l| !l.starts_with("hv0007") && l != &gone.bridge)
        );
        let answered = within(&other, || super::resolve::lookup("web."));
        assert_eq!(answered, [Ipv4Addr::new(10, 204, 1, 5)], "names are answered again");
        let error = world.driver.attach(&container(8, "late", &[&a], &[(8080, 80)])).await.unwrap_err();
        assert!(error.message.contains("port is already allocated"), "adopted ports are taken");
        assert_eq!(
            world.attach(&specs[0]).await.netns,
            world.attach(&specs[0]).await.netns,
            "attached already"
        );
        world.attach(&rebooted).await;
        world.driver.detach(&id(5)).await.unwrap();
        assert!(greet(&world.outside, (HOST, 8080)).is_err());
        world.driver.reset().await.unwrap();
        let census = world.census();
        assert_eq!((census.namespaces, census.rules.as_str()), (vec![], ""), "nothing is left");
        assert_eq!(census.links, ["lo", "uplink"]);
    });
}

#[test]
fn a_bridge_that_was_removed_is_made_again_with_its_ports() {
    in_world(|mut world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let spec = container(5, "web", &[&a], &[(8080, 80)]);
        let web = open(&world.attach(&spec).await);
        let _server = Server::start(&web, 80);
        within(&world.host, || {
            let mut batch = crate::netlink::Batch::default();
            batch.push(crate::links::remove(&a.bridge), "bridge");
            crate::netlink::Socket::route().unwrap().transact(batch).unwrap();
        });
        assert!(greet(&world.outside, (HOST, 8080)).is_err());
        world.restart().await;
        world.driver.restore(std::slice::from_ref(&a), std::slice::from_ref(&spec)).await.unwrap();
        eventually(Duration::from_secs(5), "the port answers again", || {
            greet(&world.outside, (HOST, 8080)).is_ok()
        });
        assert!(greet(&world.host, (Ipv4Addr::LOCALHOST, 8080)).is_ok());
        world.driver.reset().await.unwrap();
        // After a reset it can be used again.
        world.driver.restore(std::slice::from_ref(&a), &[]).await.unwrap();
        world.attach(&spec).await;
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn a_flushed_table_is_made_again() {
    in_world(|world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let web = open(&world.attach(&container(5, "web", &[&a], &[(8080, 80)])).await);
        let _server = Server::start(&web, 80);
        assert!(greet(&world.outside, (HOST, 8080)).is_ok());
        let before = world.census().rules;
        for _ in 0..3 {
            let flushed = Instant::now();
            within(&world.host, || {
                let mut stranger = crate::netlink::Socket::netfilter(0).unwrap();
                stranger.transact(crate::nft::host::remove()).unwrap();
            });
            eventually(Duration::from_secs(1), "the port answers again", || {
                greet(&world.outside, (HOST, 8080)).is_ok()
            });
            println!("healed {} ms after the flush", flushed.elapsed().as_millis());
        }
        assert_eq!(world.census().rules, before);
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn the_administrator_s_rules_survive_a_renewal() {
    if std::process::Command::new("nft").arg("--version").output().is_err() {
        println!("not checked: there is no nft program here");
        return;
    }
    in_world(|mut world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let spec = container(5, "web", &[&a], &[(8080, 80)]);
        let web = open(&world.attach(&spec).await);
        let _server = Server::start(&web, 80);
        let rule = format!("nft add rule inet hull user ip saddr {OUTSIDE} tcp dport 8080 drop");
        within(&world.host, || {
            assert!(std::process::Command::new("sh").args(["-c", &rule]).status().unwrap().success());
        });
        assert!(greet(&world.outside, (HOST, 8080)).is_err());
        world.restart().await;
        world.driver.restore(std::slice::from_ref(&a), std::slice::from_ref(&spec)).await.unwrap();
        assert!(greet(&world.outside, (HOST, 8080)).is_err(), "still in force");
        assert!(greet(&world.host, (HOST, 8080)).is_ok());
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn a_thousand_ports_are_published_at_once() {
    in_world(|mut world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let ports: Vec<(u16, u16)> = (10_000..11_000).map(|port| (port, 80)).collect();
        let spec = container(5, "many", &[&a], &ports);
        let started = Instant::now();
        let many = open(&world.attach(&spec).await);
        let published = started.elapsed();
        let _server = Server::start(&many, 80);
        for port in [10_000, 10_500, 10_999] {
            assert_eq!(greet(&world.outside, (HOST, port)).unwrap(), OUTSIDE);
        }
        let started = Instant::now();
        world.attach(&container(6, "one", &[&a], &[(8080, 80)])).await;
        let one_more = started.elapsed();
        world.restart().await;
        let started = Instant::now();
        let one = container(6, "one", &[&a], &[(8080, 80)]);
        world.driver.restore(std::slice::from_ref(&a), &[spec, one]).await.unwrap();
        println!(
            "1,000 ports: {published:?}; one more container and port: {one_more:?}; restore: {:?}",
            started.elapsed()
        );
        assert_eq!(greet(&world.outside, (HOST, 10_777)).unwrap(), OUTSIDE);
        let started = Instant::now();
        world.driver.detach(&id(5)).await.unwrap();
        println!("detach: {:?}", started.elapsed());
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn a_container_s_first_packet_arrives() {
    in_world(|world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let _server = Server::start(&world.outside, 80);
        for number in 10..60 {
            let one = open(&world.attach(&container(number, "one", &[&a], &[])).await);
            let started = Instant::now();
            greet(&one, (OUTSIDE, 80)).unwrap();
            assert!(
                started.elapsed() < Duration::from_millis(600),
                "a packet was lost: {:?}",
                started.elapsed()
            );
        }
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    in_world(|world| async move {
        let a = world.network("a", "10.204.0.0/16", false).await;
        let before = world.census();
        let runtime = tokio::runtime::Handle::current();
        let specs: Vec<_> =
            (10..138).map(|n| container(n, &format!("c{n}"), &[&a], &[(20_000 + n, 80)])).collect();
        let all = |work: &(dyn Fn(&hull_ports::SandboxSpec) + Sync)| {
            let started = Instant::now();
            std::thread::scope(|scope| {
                for part in specs.chunks(16) {
                    scope.spawn(move || part.iter().for_each(work));
                }
            });
            started.elapsed()
        };
        let attach = all(&|spec| drop(runtime.block_on(world.driver.attach(spec)).unwrap()));
        let first = open(&world.attach(&specs[0]).await);
        assert_eq!(within(&first, || super::resolve::lookup("c137.")), [Ipv4Addr::new(10, 204, 0, 137)]);
        let _server = Server::start(&first, 80);
        assert_eq!(greet(&world.outside, (HOST, 20_010)).unwrap(), OUTSIDE);
        let detach = all(&|spec| runtime.block_on(world.driver.detach(&spec.container)).unwrap());
        println!("128 containers by 8 at a time: attached in {attach:?}, detached in {detach:?}");
        eventually(Duration::from_secs(20), "teardown has ended", || world.census() == before);
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn a_container_that_restarts_at_once_has_its_network_again() {
    in_world(|world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let spec = container(5, "web", &[&a], &[(8080, 80)]);
        for _ in 0..10 {
            let web = open(&world.attach(&spec).await);
            let _server = Server::start(&web, 80);
            assert_eq!(greet(&world.outside, (HOST, 8080)).unwrap(), OUTSIDE);
            world.driver.detach(&spec.container).await.unwrap();
            world.driver.detach(&spec.container).await.unwrap();
        }
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn two_hundred_rounds_leave_nothing() {
    in_world(|world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let before = world.census();
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let mut attach = Vec::new();
        let mut detach = Vec::new();
        let mut settled = 0;
        for round in 0..200u16 {
            // The address of the one before last, at once.
            let mut spec = container(5 + round % 2, "web", &[&a], &[(8080, 80)]);
            spec.container = id(1000 + round);
            let started = Instant::now();
            world.attach(&spec).await;
            attach.push(started.elapsed());
            let started = Instant::now();
            world.driver.detach(&spec.container).await.unwrap();
            detach.push(started.elapsed());
            if round == 20 {
                settled = descriptors();
            }
        }
        eventually(Duration::from_secs(5), "teardown has ended", || world.census() == before);
        attach.sort();
        detach.sort();
        println!(
            "attach with one port: median {:?}, p95 {:?}; detach: median {:?}",
            attach[100], attach[190], detach[100]
        );
        // Other tests of this process open some too.
        assert!(descriptors() < settled + 100, "descriptors grew from {settled} to {}", descriptors());
        world.driver.reset().await.unwrap();
    });
}

#[test]
#[ignore = "a measurement: run it alone on a quiet machine"]
fn throughput_of_a_published_port() {
    use std::io::Read;
    use std::net::TcpListener;
    const BYTES: usize = 2 << 30;
    in_world(|world| async move {
        let a = world.network("a", "10.204.1.0/24", false).await;
        let web = open(&world.attach(&container(5, "web", &[&a], &[(8080, 80)])).await);
        let seconds = |namespace, port: u16, to: u16| {
            let listener = within(namespace, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
            let mut client = connect(&world.outside, (HOST, to)).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            let started = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let block = vec![0u8; 256 << 10];
                    (0..BYTES / block.len()).for_each(|_| server.write_all(&block).unwrap());
                });
                let mut block = vec![0u8; 256 << 10];
                while client.read(&mut block).unwrap() > 0 {}
            });
            started.elapsed().as_secs_f64()
        };
        let mut runs: Vec<(f64, f64)> =
            (0..5).map(|_| (seconds(&world.host, 81, 81), seconds(&web, 80, 8080))).collect();
        runs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (host, published) = runs[2];
        let rate = |seconds: f64| BYTES as f64 / seconds / 1e9;
        println!(
            "on the host {:.2} GB/s, published {:.2} GB/s: {:.0} %",
            rate(host),
            rate(published),
            100.0 * host / published
        );
        world.driver.reset().await.unwrap();
    });
}
