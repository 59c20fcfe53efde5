//! The flags of the settings.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{SETTINGS, Setting};

/// The heading in help texts, after the options of the command itself.
pub(super) const HEADING: &str = "Settings";

/// A flag for each setting, before or after the command. Values stay text: [`crate::Sources`] reads
/// them like those of the other sources.
pub(super) struct Settings(pub(super) Vec<(&'static str, String)>);

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |setting: &'static Setting| {
            let text = matches.get_one::<String>(setting.name)?;
            Some((setting.name, text.clone()))
        };
        Ok(Self(SETTINGS.iter().filter_map(value).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let flag = Arg::new(setting.name)
        .long(setting.name.replace('_', "-"))
        .global(true)
        .value_name("VALUE")
        .help_heading(HEADING)
        // A command's own options would be lost among them. --help shows them.
        .hide_short_help(true)
        .help(setting.help());
    if setting.is_flag {
        flag.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        flag
    }
}
