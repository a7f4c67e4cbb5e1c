//! The reference of the command line, as Markdown.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// A section for each command that is not hidden.
pub(crate) fn markdown(mut command: Command) -> String {
    command.build();
    let mut out = String::from("<!-- Generated: change the commands, not this file. -->\n\n");
    section(&command, "", &mut out);
    format!("{}\n", out.trim_end())
}

fn section(command: &Command, above: &str, out: &mut String) {
    let name = format!("{above} {}", command.get_name()).trim().to_owned();
    let level = "#".repeat(name.split(' ').count().min(4));
    let _ = writeln!(out, "{level} {name}\n");
    let about = command.get_long_about().or_else(|| command.get_about());
    let _ = writeln!(
        out,
        "{}.\n",
        about
            .map(ToString::to_string)
            .unwrap_or_default()
            .trim_end_matches('.')
    );
    let shown =
        |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let args: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    if !args.is_empty() {
        out.push_str("| argument | meaning |\n|---|---|\n");
        for arg in args {
            let _ = writeln!(out, "| `{}` | {} |", spelling(arg), meaning(arg));
        }
        out.push('\n');
    }
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        section(sub, &name, out);
    }
}

/// `--flag <VALUE>`, or `<VALUE>` for what has no flag.
fn spelling(arg: &Arg) -> String {
    let flag = arg.get_long().map(|long| format!("--{long}"));
    let takes_value = arg.get_action().takes_values();
    let value = match arg.get_value_names() {
        Some(names) => names
            .iter()
            .map(|name| format!("<{name}>"))
            .collect::<Vec<_>>()
            .join(" "),
        None => format!("<{}>", arg.get_id()),
    };
    match flag {
        Some(flag) if takes_value => format!("{flag} {value}"),
        Some(flag) => flag,
        None => value,
    }
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut text = help
        .map(ToString::to_string)
        .unwrap_or_default()
        .replace('\n', " ")
        .replace('|', "\\|");
    if !text.ends_with('.') {
        text.push('.');
    }
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.display().to_string())
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, " Default: `{}`.", defaults.join(","));
    }
    if arg.is_required_set() {
        text.push_str(" Required.");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, Command};

    use super::*;

    #[test]
    fn commands_and_flags_are_listed_and_hidden_ones_are_not() {
        let text = markdown(
            Command::new("tool").about("Does things").subcommand(
                Command::new("up")
                    .about("Goes up.")
                    .arg(
                        Arg::new("dir")
                            .long("dir")
                            .value_name("DIR")
                            .required(true)
                            .help("Where | how"),
                    )
                    .arg(
                        Arg::new("n")
                            .long("nodes")
                            .value_name("N")
                            .default_value("2")
                            .help("How many."),
                    )
                    .arg(
                        Arg::new("kill")
                            .long("kill")
                            .action(ArgAction::SetTrue)
                            .help("At once."),
                    )
                    .arg(Arg::new("NAME").help("Which."))
                    .arg(Arg::new("secret").long("secret").hide(true))
                    .subcommand(Command::new("hidden").hide(true)),
            ),
        );
        insta::assert_snapshot!(text, @r"
        <!-- Generated: change the commands, not this file. -->

        # tool

        Does things.

        ## tool up

        Goes up.

        | argument | meaning |
        |---|---|
        | `--dir <DIR>` | Where \| how. Required. |
        | `--nodes <N>` | How many. Default: `2`. |
        | `--kill` | At once. |
        | `<NAME>` | Which. |
        ");
    }
}
