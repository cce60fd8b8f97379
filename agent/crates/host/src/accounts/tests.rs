use super::*;
use proptest::prelude::*;
use std::path::Path;

fn before() -> Texts {
    Texts {
        passwd: "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:999:998::/nonexistent:/usr/sbin/nologin\n"
            .to_owned(),
        group: "root:x:0:\nmessagebus:x:998:\ndocker:x:997:\n".to_owned(),
        shadow: "root:*:20000:0:99999:7:::\nmessagebus:!*:20000::::::\n".to_owned(),
        gshadow: "root:*::\nmessagebus:!*::\ndocker:!*::\n".to_owned(),
    }
}

fn user(name: &str) -> User {
    User { name: name.to_owned(), ..User::default() }
}

fn nobody() -> Homes {
    Homes::new()
}

#[test]
fn people_and_groups_are_added_and_the_rest_stays() {
    let users = [
        User {
            groups: vec!["docker".into(), "staff".into()],
            passwd_hash: Some("$6$s$h".into()),
            ..user("anna")
        },
        User { uid: Some(1500), primary_group: Some("staff".into()), gecos: "Bob".into(), ..user("bob") },
        User { system: true, ..user("svc") },
        User { shell: Some("/bin/sh".into()), ..user("root") },
    ];
    let groups = [Group { name: "admins".into(), members: vec!["anna".into(), "ghost".into()] }];
    let (after, accounts, problems) = render(&before(), &groups, &users, &nobody());
    for line in [
        "root:x:0:0:root:/root:/bin/sh\n",
        "messagebus:x:999:998::/nonexistent:/usr/sbin/nologin\n",
        "anna:x:1001:1001::/var/home/anna:/bin/bash\n",
        "bob:x:1500:1002:Bob:/var/home/bob:/bin/bash\n",
        "svc:x:996:996::/var/home/svc:/usr/sbin/nologin\n",
    ] {
        assert!(after.passwd.contains(line), "{line} in {}", after.passwd);
    }
    for line in ["docker:x:997:anna\n", "staff:x:1002:anna\n", "admins:x:1000:anna\n", "anna:x:1001:\n"] {
        assert!(after.group.contains(line), "{line} in {}", after.group);
    }
    assert!(
        after.shadow.contains("anna:$6$s$h::0:99999:7:::\n")
            && after.shadow.contains("bob:*::0:99999:7:::\n")
    );
    assert!(after.shadow.starts_with("root:*:20000:0:99999:7:::\n"), "the image's passwords stay");
    assert!(after.gshadow.contains("docker:!*::anna\n") && after.gshadow.contains("staff:!::anna\n"));
    assert_eq!(accounts.len(), 4);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].reason.contains("ghost"));
}

#[test]
fn numbers_are_stable() {
    let homes = Homes::from([("/var/home/old".into(), 1777), ("/var/home/gone".into(), 1000)]);
    let later = User { uid: Some(1001), ..user("later") };
    let (_, accounts, _) = render(&before(), &[], &[user("new"), user("old"), later], &homes);
    assert_eq!(accounts.iter().map(|a| a.uid).collect::<Vec<_>>(), [1002, 1777, 1001]);
    let (first, ..) = render(&before(), &[], &[user("a"), user("b")], &nobody());
    let (second, accounts, _) = render(&first, &[], &[user("b"), user("a")], &nobody());
    assert_eq!(first, second);
    assert_eq!(accounts.iter().map(|a| a.uid).collect::<Vec<_>>(), [1001, 1000]);
}

#[test]
fn numbers_that_are_taken_are_refused() {
    let users = [
        User { uid: Some(999), ..user("a") },
        User { uid: Some(5), ..user("root") },
        User { uid: Some(2000), ..user("b") },
        User { uid: Some(2000), ..user("c") },
    ];
    let (_, accounts, problems) = render(&before(), &[], &users, &nobody());
    assert_eq!(accounts.iter().map(|a| &*a.name).collect::<Vec<_>>(), ["b"]);
    assert_eq!(problems.len(), 3);
    assert!(problems.iter().all(|p| !p.remedy.is_empty()));
}

#[test]
fn homes_are_named_by_where_they_are() {
    let users = [User { homedir: Some("/home/x".into()), ..user("x") }];
    let (_, accounts, _) = render(&before(), &[], &users, &nobody());
    assert_eq!(accounts[0].home, Path::new("/var/home/x"));
}

proptest! {
    /// Whatever a value holds, every line has its number of fields, and nobody new has the number 0.
    #[test]
    fn no_value_makes_a_line_of_its_own(name in "[a-z:\n]{1,6}", gecos in ".{0,8}", home in "/[a-z:\n]{0,6}", hash in "[$a:\n]{0,5}") {
        let user = User { name, gecos, homedir: Some(home.into()), passwd_hash: Some(hash), ..User::default() };
        let (after, ..) = render(&before(), &[], &[user], &nobody());
        for line in after.passwd.lines() {
            prop_assert_eq!(line.split(':').count(), 7, "{}", line);
            prop_assert!(line.starts_with("root:") || line.split(':').nth(2) != Some("0"));
        }
        prop_assert!(after.shadow.lines().all(|line| line.split(':').count() == 9));
    }
}
