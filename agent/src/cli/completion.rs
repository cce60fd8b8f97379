//! Completion in shells: scripts that ask this program, and its answers.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::{Entry, Family, Flag, Given, Kind, Names, Word, help};
use crate::cli::words::{root, walk};
use crate::cli::{Context, say};
use serde_json::Value;

const BASH: &str = r#"_hull() {
    local line words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        [[ $line == "$2"* ]] && COMPREPLY+=("$line")
    done < <(hull __complete "${words[@]}" 2>/dev/null)
}
complete -o default -o bashdefault -F _hull hull
"#;

const ZSH: &str = r#"#compdef hull
_hull() {
    local -a found
    local line
    while IFS= read -r line; do
        found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done < <(hull __complete "${(@)words[2,$CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then _describe hull found; else _files; fi
}
compdef _hull hull
"#;

const FISH: &str = r#"function __hull_complete
    set -l words (commandline -opc) (commandline -ct)
    hull __complete $words[2..-1] 2>/dev/null
end
complete -c hull -a '(__hull_complete)'
"#;

/// `hull completion SHELL`
pub(crate) async fn script(_: &Context, given: &Given) -> Outcome {
    match given.first() {
        "bash" => say(BASH),
        "zsh" => say(ZSH),
        "fish" => say(FISH),
        other => Err(Failure::new(format!("there is no completion for {other:?}: name bash, zsh or fish"))),
    }
}

/// What may stand at the end of a line.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Words(Vec<(&'static str, &'static str)>),
    Flags(Vec<(String, &'static str)>),
    Names(Names),
}

/// `hull __complete WORDS…`: a candidate on each line, with a description. The last word is the one being typed.
pub(crate) async fn answer(context: &Context, words: &[String]) -> Outcome {
    let lines: Vec<(String, String)> = match wanted(words) {
        Wanted::Words(words) => {
            words.into_iter().map(|(w, about)| (w.to_owned(), about.to_owned())).collect()
        }
        Wanted::Flags(flags) => flags.into_iter().map(|(f, about)| (f, about.to_owned())).collect(),
        // An agent that cannot be asked has no names; the line is typed without them.
        Wanted::Names(names) => known(context, names).await.unwrap_or_default(),
    };
    let typed = words.last().map_or("", String::as_str);
    let fitting = lines.into_iter().filter(|(line, _)| line.starts_with(typed));
    say(&fitting.map(|(line, about)| format!("{line}\t{about}\n")).collect::<String>())
}

fn wanted(words: &[String]) -> Wanted {
    let Some((typed, before)) = words.split_last() else { return Wanted::Words(first_words()) };
    if before.is_empty() {
        return if typed.starts_with('-') {
            flags_of(root::GLOBAL.iter())
        } else {
            Wanted::Words(first_words())
        };
    }
    match walk(before) {
        None => Wanted::Words(first_words()),
        Some((Entry::Family(family), _)) => Wanted::Words(words_of(family)),
        Some((Entry::Word(word), used)) => after(word, &before[used..], typed),
    }
}

fn first_words() -> Vec<(&'static str, &'static str)> {
    root::SECTIONS.iter().flat_map(|(_, family)| words_of(family)).collect()
}

fn words_of(family: &'static Family) -> Vec<(&'static str, &'static str)> {
    family.words.iter().map(|(name, entry)| (*name, help::about(entry))).collect()
}

fn flags_of(flags: impl Iterator<Item = &'static Flag>) -> Wanted {
    let shown = flags.filter(|f| !f.hidden);
    Wanted::Flags(
        shown.map(|f| (format!("--{}", f.name), f.help.lines().next().unwrap_or_default())).collect(),
    )
}

/// What may follow a word and its arguments.
fn after(word: &'static Word, before: &[String], typed: &str) -> Wanted {
    let by_text = |text: &str| {
        let long = text.strip_prefix("--");
        let letter = text.strip_prefix('-').and_then(|t| t.chars().last());
        word.every_flag().find(|f| long.map_or(f.short.is_some() && f.short == letter, |name| f.name == name))
    };
    let takes_value = |text: &String| {
        text.starts_with('-')
            && !text.contains('=')
            && by_text(text).is_some_and(|f| !matches!(f.kind, Kind::Bool | Kind::MaybeText))
    };
    if let Some(flag) = before.last().filter(|text| takes_value(text)).and_then(|text| by_text(text)) {
        return Wanted::Names(value_of(flag));
    }
    let mut arguments = 0;
    let mut rest = before.iter();
    while let Some(text) = rest.next() {
        match text.starts_with('-') {
            true if takes_value(text) => _ = rest.next(),
            true => {}
            false => arguments += 1,
        }
    }
    if typed.starts_with('-') && (word.interspersed || arguments == 0) {
        return flags_of(word.every_flag());
    }
    match (word.interspersed, arguments) {
        (false, 1..) => Wanted::Names(Names::Nothing),
        // The second argument of `network connect` and `disconnect` is a container.
        (_, 1..) if word.names == Names::Networks && word.count == crate::cli::flags::Count::Exactly(2) => {
            Wanted::Names(Names::Containers)
        }
        _ => Wanted::Names(word.names),
    }
}

/// What the value of a flag names.
fn value_of(flag: &Flag) -> Names {
    match flag.name {
        "network" | "net" => Names::Networks,
        "volumes-from" | "link" => Names::Containers,
        "volume" => Names::Volumes,
        "env-file" | "label-file" | "cidfile" | "input" | "output" => Names::Files,
        _ => Names::Nothing,
    }
}

/// The names there are.
async fn known(context: &Context, names: Names) -> Result<Vec<(String, String)>, Failure> {
    let client = &context.client;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |answer: Value, key: &str| answer[key].as_array().cloned().unwrap_or_default();
    Ok(match names {
        Names::Nothing | Names::Files => Vec::new(),
        Names::Containers | Names::RunningContainers | Names::Anything => {
            let all = if names == Names::RunningContainers { "" } else { "?all=1" };
            let found: Vec<Value> = client.get(&format!("/containers/json{all}")).await?;
            let name =
                |c: &Value| (text(&c["Names"][0]).trim_start_matches('/').to_owned(), text(&c["Status"]));
            let mut known: Vec<_> = found.iter().map(name).collect();
            if names == Names::Anything {
                known.extend(Box::pin(images(context)).await?);
            }
            known
        }
        Names::Images => images(context).await?,
        Names::Volumes => {
            let found = list(client.get("/volumes").await?, "Volumes");
            found.iter().map(|v| (text(&v["Name"]), text(&v["Driver"]))).collect()
        }
        Names::Networks => {
            let found: Vec<Value> = client.get("/networks").await?;
            found.iter().map(|n| (text(&n["Name"]), text(&n["Driver"]))).collect()
        }
    })
}

async fn images(context: &Context) -> Result<Vec<(String, String)>, Failure> {
    let found: Vec<Value> = context.client.get("/images/json").await?;
    let tags = found.iter().flat_map(|image| image["RepoTags"].as_array().into_iter().flatten());
    Ok(tags.filter_map(Value::as_str).map(|tag| (tag.to_owned(), "image".to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Wanted {
        wanted(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_may_come_next_is_known() {
        let has = |wanted: Wanted, name: &str| match wanted {
            Wanted::Words(words) => words.iter().any(|(word, _)| *word == name),
            Wanted::Flags(flags) => flags.iter().any(|(flag, _)| flag == name),
            Wanted::Names(_) => false,
        };
        assert!(has(asked(""), "run") && has(asked("ru"), "run") && has(asked("container "), "prune"));
        assert!(has(asked("run --"), "--rm") && has(asked("ps -"), "--all"));
        assert_eq!(asked("start "), Wanted::Names(Names::Containers));
        assert_eq!(asked("exec -it "), Wanted::Names(Names::RunningContainers));
        assert_eq!(asked("exec -it web "), Wanted::Names(Names::Nothing));
        assert_eq!(asked("run --name x "), Wanted::Names(Names::Images));
        assert_eq!(asked("run --network "), Wanted::Names(Names::Networks));
        assert_eq!(asked("run --rm busybox "), Wanted::Names(Names::Nothing));
        assert_eq!(asked("network connect front "), Wanted::Names(Names::Containers));
        assert_eq!(asked("rmi "), Wanted::Names(Names::Images));
    }
}
