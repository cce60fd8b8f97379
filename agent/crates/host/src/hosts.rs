//! `/etc/hosts`: one line of ours.

/// Ends our line, so that it is found again.
const MARK: &str = "# hulld";

/// The text with our line for the host's names, and without any other of ours. Without a name there is no line.
pub(crate) fn render(before: &str, hostname: Option<&str>, fqdn: Option<&str>) -> String {
    let others = before.lines().filter(|line| !line.trim_end().ends_with(MARK));
    let mut text: String = others.flat_map(|line| [line, "\n"]).collect();
    let mut names: Vec<&str> = Vec::new();
    for name in fqdn.into_iter().chain(hostname) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        text.push_str(&format!("127.0.1.1 {} {MARK}\n", names.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_line_is_replaced_and_others_stay() {
        let before = "127.0.0.1 localhost\n# a note";
        let one = render(before, Some("web"), Some("web.example.org"));
        assert_eq!(one, "127.0.0.1 localhost\n# a note\n127.0.1.1 web.example.org web # hulld\n");
        assert_eq!(render(&one, Some("web"), Some("web.example.org")), one);
        assert!(render(&one, Some("db"), None).ends_with("127.0.1.1 db # hulld\n"));
        assert_eq!(render(&one, None, None), "127.0.0.1 localhost\n# a note\n");
    }
}
