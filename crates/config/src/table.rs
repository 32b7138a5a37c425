//! The table of options: declared once, used by flags, YAML, help and `/config`.
//!
//! `options!` makes a struct with its default and its rows of the table;
//! `sections!` makes the root that holds such structs.

use crate::value::Kind;

/// Who should know an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Shown by `-help`.
    Basic,
    /// Shown by `-help-all`.
    Advanced,
    /// Shown by `-help-all`; may change or go.
    Experimental,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Where it is in YAML, parts joined by dots.
    pub path: &'static str,
    /// Its flag without dash.
    pub flag: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Who should know it.
    pub category: Category,
    /// What values look like.
    pub kind: Kind,
}

/// A part of the configuration.
pub trait Section {
    /// Its rows.
    fn fields(&self) -> &'static [Field];

    /// Sets the option at `path`, which is one of the rows.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with `text`.
    fn set(&mut self, path: &str, text: &str) -> Result<(), String>;

    /// The value at `path` as text, secrets masked; `None` for a path that is not a row.
    fn get(&self, path: &str) -> Option<String>;
}

/// Declares a struct of options:
///
/// ```text
/// options! {
///     /// The HTTP door.
///     pub struct Server {
///         /// Port.
///         [Basic] http_listen_port: u16 = 8080, "server.http_listen_port", "server.http-listen-port";
///     }
/// }
/// ```
macro_rules! options {
    (
        $(#[doc = $struct_doc:literal])+
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                [$category:ident] $field:ident: $type:ty = $default:expr, $path:literal, $flag:literal;
            )+
        }
    ) => {
        $(#[doc = $struct_doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $crate::table::Section for $name {
            fn fields(&self) -> &'static [$crate::table::Field] {
                const FIELDS: &[$crate::table::Field] = &[$(
                    $crate::table::Field {
                        path: $path,
                        flag: $flag,
                        help: concat!($($doc),+),
                        category: $crate::table::Category::$category,
                        kind: <$type as $crate::value::Setting>::KIND,
                    },
                )+];
                FIELDS
            }

            fn set(&mut self, path: &str, text: &str) -> Result<(), String> {
                match path {
                    $($path => self.$field = $crate::value::Setting::read(text)?,)+
                    _ => return Err("unknown option".to_owned()),
                }
                Ok(())
            }

            fn get(&self, path: &str) -> Option<String> {
                match path {
                    $($path => Some($crate::value::Setting::write(&self.$field)),)+
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use options;

/// Declares the root of the configuration: a struct of sections.
macro_rules! sections {
    (
        $(#[doc = $struct_doc:literal])+
        pub struct $name:ident {
            $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)+
        }
    ) => {
        $(#[doc = $struct_doc])+
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl $name {
            /// Every section.
            pub fn sections(&self) -> Vec<&dyn $crate::table::Section> {
                vec![$(&self.$field),+]
            }

            pub(crate) fn sections_mut(&mut self) -> Vec<&mut dyn $crate::table::Section> {
                vec![$(&mut self.$field),+]
            }
        }
    };
}
pub(crate) use sections;
