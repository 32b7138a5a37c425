//! Command line and environment in, configuration out.

use std::collections::BTreeSet;
use std::fs;

use crate::flags::{self, Arg};
use crate::options::Config;
use crate::table::{Field, Section};
use crate::value::{Kind, MASK};
use crate::yaml::{self, Value};
use crate::{env, known, render};

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Loaded {
    /// Run with this configuration.
    Run(Box<Run>),
    /// Print this text to standard error and exit with 2, as Go programs do.
    Help(String),
    /// Print the version and exit with 0.
    Version,
    /// Print this list of modules and exit with 0.
    Modules(String),
}

/// A configuration to run with.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The options.
    pub config: Config,
    /// Flags (with dash) and YAML paths that Mimir has and Norn ignores, sorted. For the log.
    pub ignored: Vec<String>,
    /// Neither a file nor a target was named, so the defaults are those for a first try.
    pub newcomer: bool,
}

/// A configuration that can not be run with. One line of text that names flag, YAML path, value
/// and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A flag nobody knows.
    #[error("unknown flag -{flag}{}; -help-all lists every flag", did_you_mean(suggestion))]
    UnknownFlag {
        /// Name without dash.
        flag: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A flag at the end of the line that lacks its value.
    #[error("flag -{0} needs a value: -{0}=<value>")]
    NoValue(String),
    /// An argument that is not a flag.
    #[error(
        "argument {0:?} is not a flag; flags start with -, and a boolean is set with -flag=true or -flag=false"
    )]
    NotAFlag(String),
    /// A value that does not fit its option.
    #[error("invalid value {value:?} for {option}: {reason}")]
    Value {
        /// The option with its place.
        option: String,
        /// The value; masked for secrets.
        value: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A file that can not be read.
    #[error("can not read the configuration file {file} (-config.file): {cause}")]
    File {
        /// Its path.
        file: String,
        /// Why not.
        cause: String,
    },
    /// A file that is not YAML.
    #[error("can not parse the configuration file {file} (-config.file): {cause}")]
    Yaml {
        /// Its path.
        file: String,
        /// Place and reason.
        cause: String,
    },
    /// A key nobody knows.
    #[error("{file}:{line}: unknown key {key}{}", did_you_mean(suggestion))]
    UnknownKey {
        /// Path of the file.
        file: String,
        /// Line in it.
        line: u64,
        /// Keys from the root.
        key: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// Options that contradict each other, or a name that does not exist.
    #[error("invalid configuration: {0}")]
    Invalid(String),
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|s| format!("; did you mean {s}?")).unwrap_or_default()
}

/// Flags that are no options of a part.
pub(crate) const OWN_FLAGS: [(&str, bool, &str); 7] = [
    ("config.expand-env", true, "Replace $VAR, ${VAR} and ${VAR:default} in the configuration file."),
    ("config.file", false, "The configuration file, YAML."),
    ("h", true, "Print the basic flags and exit."),
    ("help", true, "Print the basic flags and exit."),
    ("help-all", true, "Print every flag and exit."),
    ("modules", true, "Print what -target may name and exit."),
    ("version", true, "Print the version and exit."),
];

impl Config {
    /// Reads a command line (without the program's name), and the file it names.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn load(
        args: impl Iterator<Item = String>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigError> {
        let defaults = Config::default();
        let args = flags::parse(args, |name| is_bool_flag(&defaults, name)).map_err(flag_error)?;
        let is_on = |flag: &str| -> Result<bool, ConfigError> {
            let arg = args.iter().rfind(|a| a.name == flag);
            arg.map_or(Ok(false), read_own)
        };
        if is_on("help-all")? {
            return Ok(Loaded::Help(render::help(true)));
        }
        if is_on("help")? || is_on("h")? {
            return Ok(Loaded::Help(render::help(false)));
        }
        if is_on("version")? {
            return Ok(Loaded::Version);
        }
        if is_on("modules")? {
            return Ok(Loaded::Modules(render::modules()));
        }
        let file = args.iter().rfind(|a| a.name == "config.file").map(|a| a.value.as_str());
        let file = file.filter(|f| !f.is_empty());
        let newcomer = file.is_none() && !args.iter().any(|a| a.name == "target");
        let mut config = if newcomer { Config::for_newcomer() } else { defaults };
        let mut ignored = BTreeSet::new();
        if let Some(file) = file {
            let text = read_file(file, is_on("config.expand-env")?, &env)?;
            apply_yaml(&mut config, &mut ignored, file, &text)?;
        }
        for arg in &args {
            apply_flag(&mut config, &mut ignored, arg)?;
        }
        config.check().map_err(ConfigError::Invalid)?;
        Ok(Loaded::Run(Box::new(Run { config, ignored: ignored.into_iter().collect(), newcomer })))
    }

    /// The row and the section of the option that `is_it` picks.
    fn find(&mut self, is_it: impl Fn(&Field) -> bool) -> Option<(&'static Field, &mut dyn Section)> {
        self.sections_mut().into_iter().find_map(|section| {
            let field = section.fields().iter().find(|f| is_it(f))?;
            Some((field, section))
        })
    }
}

fn read_own(arg: &Arg) -> Result<bool, ConfigError> {
    <bool as crate::value::Setting>::read(&arg.value).map_err(|reason| ConfigError::Value {
        option: format!("flag -{}", arg.name),
        value: arg.value.clone(),
        reason,
    })
}

fn is_bool_flag(config: &Config, name: &str) -> Option<bool> {
    if let Some((_, is_bool, _)) = OWN_FLAGS.iter().find(|(flag, ..)| *flag == name) {
        return Some(*is_bool);
    }
    let sections = config.sections();
    let own = sections.iter().flat_map(|s| s.fields()).find(|f| f.flag == name);
    own.map(|f| f.kind == Kind::Bool).or_else(|| known::mimir_flag(name))
}

fn flag_error(error: flags::Error) -> ConfigError {
    match error {
        flags::Error::Unknown(flag) => {
            let suggestion = suggest_flag(&flag);
            ConfigError::UnknownFlag { flag, suggestion }
        }
        flags::Error::NoValue(flag) => ConfigError::NoValue(flag),
        flags::Error::NotAFlag(arg) => ConfigError::NotAFlag(arg),
    }
}

fn suggest_flag(flag: &str) -> Option<String> {
    let config = Config::default();
    let sections = config.sections();
    let fields = || sections.iter().flat_map(|s| s.fields());
    if let Some(field) = fields().find(|f| f.path == flag) {
        return Some(format!("-{}", field.flag));
    }
    let own = fields().map(|f| f.flag).chain(OWN_FLAGS.iter().map(|(f, ..)| *f));
    let near = known::nearest(flag, own)
        .or_else(|| known::nearest(flag, known::mimir().iter().map(|o| o.flag).filter(|f| !f.is_empty())));
    near.map(|f| format!("-{f}"))
}

fn suggest_key(key: &str) -> Option<String> {
    let config = Config::default();
    let sections = config.sections();
    let fields = || sections.iter().flat_map(|s| s.fields());
    if let Some(field) = fields().find(|f| f.flag == key) {
        return Some(field.path.to_owned());
    }
    // The right name in the wrong section is a common slip.
    let name = key.rsplit('.').next().unwrap_or(key);
    let same_name = || {
        let mut same = fields().filter(|f| f.path.rsplit('.').next() == Some(name));
        same.next().filter(|_| same.next().is_none()).map(|f| f.path)
    };
    known::nearest(key, fields().map(|f| f.path))
        .or_else(same_name)
        .or_else(|| known::nearest(key, known::mimir().iter().map(|o| o.path).filter(|p| !p.ends_with('*'))))
        .map(str::to_owned)
}

fn read_file(file: &str, expand: bool, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let text = fs::read_to_string(file)
        .map_err(|e| ConfigError::File { file: file.to_owned(), cause: e.to_string() })?;
    Ok(if expand { env::expand(&text, env) } else { text })
}

fn apply_yaml(
    config: &mut Config,
    ignored: &mut BTreeSet<String>,
    file: &str,
    text: &str,
) -> Result<(), ConfigError> {
    let entries = yaml::parse(text).map_err(|cause| ConfigError::Yaml { file: file.to_owned(), cause })?;
    for entry in entries {
        let path = entry.path.as_str();
        let Some((field, section)) = config.find(|f| f.path == path) else {
            let is_empty_section = entry.value == Value::Empty
                && (is_own_section(config, path) || known::is_mimir_section(path));
            if is_empty_section {
                continue;
            }
            if known::is_mimir_option(path) {
                ignored.insert(entry.path);
                continue;
            }
            let suggestion = suggest_key(path);
            return Err(ConfigError::UnknownKey {
                file: file.to_owned(),
                line: entry.line,
                key: entry.path,
                suggestion,
            });
        };
        let option = || format!("{path} (flag -{}) at {file}:{}", field.flag, entry.line);
        match &entry.value {
            Value::Empty => {}
            Value::Text(text) => set(section, field, text, option)?,
            Value::Structure => {
                return Err(ConfigError::Value {
                    option: option(),
                    value: "[…]".to_owned(),
                    reason: format!("a {} is wanted", field.kind),
                });
            }
        }
    }
    Ok(())
}

fn is_own_section(config: &Config, path: &str) -> bool {
    config.sections().iter().flat_map(|s| s.fields()).any(|f| known::is_below(f.path, path))
}

fn apply_flag(config: &mut Config, ignored: &mut BTreeSet<String>, arg: &Arg) -> Result<(), ConfigError> {
    if OWN_FLAGS.iter().any(|(flag, ..)| *flag == arg.name) {
        return Ok(());
    }
    match config.find(|f| f.flag == arg.name) {
        Some((field, section)) => {
            set(section, field, &arg.value, || format!("flag -{} (YAML {})", field.flag, field.path))
        }
        None => {
            // The parser let only known names through.
            ignored.insert(format!("-{}", arg.name));
            Ok(())
        }
    }
}

fn set(
    section: &mut dyn Section,
    field: &Field,
    text: &str,
    option: impl Fn() -> String,
) -> Result<(), ConfigError> {
    section.set(field.path, text).map_err(|reason| {
        let value = if field.kind == Kind::Secret { MASK } else { text };
        ConfigError::Value { option: option(), value: value.to_owned(), reason }
    })
}
