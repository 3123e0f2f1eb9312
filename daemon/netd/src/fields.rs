//! The fields of one table of the configuration, which several structs share. Every error in them
//! is found, not only the first.
//!
//! serde has `flatten` for several structs, but it loses where in the file a field is, and it
//! doesn't refuse unknown fields. And a struct that serde reads ends at its first error. Here, a
//! stand-in takes the place of a value that is missing or that can't be read, and the struct is
//! read again. What was read with a stand-in serves to find more errors, and for nothing else.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor,
};
use serde::{Serialize, forward_to_deserialize_any};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table};

use crate::checks::{Finding, Kind, Line, Place};

/// A file in TOML, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Document<'i> {
    path: &'i Path,
    text: &'i str,
    findings: RefCell<Vec<Finding>>,
}

/// The fields of a table.
#[derive(Debug)]
pub(crate) struct Fields<'i> {
    document: &'i Document<'i>,
    section: Section,
    table: DeTable<'i>,
    /// The names that some struct has.
    known: Vec<&'static str>,
}

/// Where a table is, and each of its fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    file: PathBuf,
    /// The name of the table before its fields, with a dot.
    prefix: &'static str,
    /// The name of the access whose table it is.
    access: Option<String>,
    /// The line on which the table begins; none for the file's own table.
    head: Option<Line>,
    lines: BTreeMap<String, Line>,
    /// The fields with an error, for which there is a stand-in.
    wrong: BTreeSet<String>,
    /// The names of all settings, in the order of their structs.
    names: Vec<&'static str>,
    /// The values in force, also of settings that the file lacks.
    in_force: Table,
}

impl Section {
    /// The place of a field. If the file lacks it, its table is the place.
    pub(crate) fn place(&self, field: &str) -> Place {
        Place {
            file: Some(self.file.clone()),
            line: self.lines.get(field).or(self.head.as_ref()).cloned(),
            access: self.access.clone(),
            field: Some(format!("{}{field}", self.prefix)),
        }
    }

    /// All settings of this table with their values, as lines of a file.
    pub(crate) fn in_full(&self) -> String {
        let line = |name: &&str| match self.in_force.get(*name) {
            Some(value) if self.lines.contains_key(*name) => format!("{name} = {value}\n"),
            Some(value) => format!("{name} = {value}  # default\n"),
            None => format!("# {name} is not set, which is the default\n"),
        };
        self.names.iter().map(line).collect()
    }

    /// Whether the value of this field is what the file has.
    pub(crate) fn has(&self, field: &str) -> bool {
        !self.wrong.contains(field)
    }
}

impl<'i> Document<'i> {
    /// The text of a file.
    pub(crate) fn new(path: &'i Path, text: &'i str) -> Self {
        Self {
            path,
            text,
            findings: RefCell::default(),
        }
    }

    /// The fields of the file's own table, unless the file isn't TOML.
    pub(crate) fn fields(&'i self) -> Option<Fields<'i>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let place = Place {
                file: Some(self.path.to_owned()),
                line: error.span().and_then(|span| self.line(&span)),
                ..Place::default()
            };
            self.report(place, error.message());
        }
        errors
            .is_empty()
            .then(|| Fields::of(self, "", None, table.into_inner()))
    }

    /// What is wrong, in the order of the lines.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.place.line.as_ref().map(|line| line.number));
        findings
    }

    fn report(&self, place: Place, problem: impl Into<String>) {
        let finding = Finding::error(Kind::Configuration, place, problem);
        self.findings.borrow_mut().push(finding);
    }

    /// The line with the first octet of a span.
    fn line(&self, span: &Range<usize>) -> Option<Line> {
        let number = 1 + self.text.get(..span.start)?.matches('\n').count();
        let text = self.text.lines().nth(number - 1)?.trim().to_owned();
        Some(Line { number, text })
    }
}

impl<'i> Fields<'i> {
    fn of(
        document: &'i Document<'i>,
        prefix: &'static str,
        span: Option<Range<usize>>,
        table: DeTable<'i>,
    ) -> Self {
        let line = |span: Range<usize>| document.line(&span);
        let lines = table.keys().filter_map(|key| {
            let name = key.get_ref().clone().into_owned();
            line(key.span()).map(|line| (name, line))
        });
        Self {
            section: Section {
                file: document.path.to_owned(),
                prefix,
                access: None,
                head: span.and_then(line),
                lines: lines.collect(),
                wrong: BTreeSet::new(),
                names: Vec::new(),
                in_force: Table::new(),
            },
            document,
            table,
            known: Vec::new(),
        }
    }

    /// The fields of the table with this name, if there is one. `prefix` is what comes before their
    /// names.
    pub(crate) fn table(&mut self, name: &'static str, prefix: &'static str) -> Option<Self> {
        self.known.push(name);
        let value = self.table.remove(name)?;
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Self::of(self.document, prefix, Some(span), table)),
            other => {
                self.wrong(name, format!("expected a table, got {}", other.type_str()));
                None
            }
        }
    }

    /// The fields of each table in the array with this name.
    pub(crate) fn tables(&mut self, name: &'static str) -> Vec<Self> {
        self.known.push(name);
        let not_tables = |got: &DeValue<'_>| {
            format!(
                "expected [[{name}]], an array of tables, got {}",
                got.type_str()
            )
        };
        let values = match self.table.remove(name).map(Spanned::into_inner) {
            Some(DeValue::Array(values)) => values,
            Some(other) => {
                self.wrong(name, not_tables(&other));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut tables = Vec::new();
        for value in values {
            let span = value.span();
            match value.into_inner() {
                DeValue::Table(table) => {
                    tables.push(Self::of(self.document, "", Some(span), table));
                }
                other => self.wrong(name, not_tables(&other)),
            }
        }
        tables
    }

    /// Says that the table is that of an access. Errors name it, if it has a name.
    pub(crate) fn name_access(&mut self) {
        let name = self.table.get("name").map(Spanned::get_ref);
        self.section.access = name.and_then(DeValue::as_str).map(str::to_owned);
    }

    /// A field that is a text, and the number of its line.
    pub(crate) fn text(&self, field: &str) -> Option<(String, usize)> {
        let text = self.table.get(field)?.get_ref().as_str()?;
        Some((text.to_owned(), self.section.lines.get(field)?.number))
    }

    /// Takes the fields of a struct. Where one is wrong, it holds a stand-in, and the error is
    /// reported.
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            let (field, span, reason) = match T::deserialize(&mut *self) {
                Ok(taken) => return Some(taken),
                Err(Fault::Missing(field)) => {
                    (field, None, String::from("expected a value, got none"))
                }
                Err(Fault::Value(field, error)) => {
                    (field, error.span(), in_our_words(error.message()))
                }
                Err(Fault::Other(reason)) => ("", None, reason),
            };
            // A stand-in doesn't suit every type.
            if self.is_wrong(field) {
                return None;
            }
            self.wrong_at(field, span, reason);
        }
    }

    /// Notes the values of a struct that are in force, with paths and defaults as netd uses them.
    pub(crate) fn in_force(&mut self, taken: &impl Serialize) {
        // All of them are values that TOML has.
        let values = Table::try_from(taken).unwrap_or_default();
        self.section.in_force.extend(values);
    }

    /// Reports an error of a field, unless one was reported.
    pub(crate) fn wrong(&mut self, field: &str, reason: impl Into<String>) {
        self.wrong_at(field, None, reason.into());
    }

    fn wrong_at(&mut self, field: &str, span: Option<Range<usize>>, reason: String) {
        // A stand-in may be wrong, too, which nobody needs to know.
        if self.section.wrong.insert(field.to_owned()) {
            let mut place = self.section.place(field);
            if let Some(line) = span.and_then(|span| self.document.line(&span)) {
                place.line = Some(line);
            }
            self.document.report(place, reason);
        }
    }

    /// Whether an error of this field was reported.
    pub(crate) fn is_wrong(&self, field: &str) -> bool {
        !self.section.has(field)
    }

    /// Reports the fields that no struct has. Returns where the others are.
    pub(crate) fn end(mut self, of: impl fmt::Display) -> Section {
        let known = self.known.join("`, `");
        let names: Vec<_> = (self.table.keys())
            .map(|name| name.get_ref().clone().into_owned())
            .filter(|name| !self.known.contains(&&**name))
            .collect();
        for name in names {
            let reason = format!("unknown field `{name}`{of}, expected one of `{known}`");
            self.wrong(&name, reason);
        }
        self.section
    }
}

/// The words of serde for a value that it can't read, as netd says such things.
fn in_our_words(message: &str) -> String {
    let parts = ["invalid type: ", "invalid value: ", "unknown variant "]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.rsplit_once(", expected "));
    match parts {
        Some((got, "u32")) => format!("expected a whole number, got {got}"),
        Some((got, "a sequence")) => format!("expected an array, got {got}"),
        Some((got, expected)) => format!("expected {expected}, got {got}"),
        None => message.to_owned(),
    }
}

/// Why a struct can't be read.
#[derive(Debug)]
pub(crate) enum Fault {
    Missing(&'static str),
    Value(&'static str, toml::de::Error),
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(field) => write!(f, "{field}: expected a value, got none"),
            Self::Value(field, error) => write!(f, "{field}: {error}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

impl<'de> Deserializer<'de> for &mut Fields<'de> {
    type Error = Fault;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let new = |name: &&str| !self.known.contains(name);
        let new: Vec<_> = fields.iter().copied().filter(new).collect();
        self.section.names.extend(&new);
        self.known.extend(new);
        visitor.visit_map(Entries {
            of: self,
            names: fields.iter(),
            at: "",
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("only a struct can take fields"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The fields of one struct that the table has, or that have a stand-in.
struct Entries<'f, 'i> {
    of: &'f Fields<'i>,
    names: std::slice::Iter<'static, &'static str>,
    at: &'static str,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let there = |name: &&&str| self.of.is_wrong(name) || self.of.table.contains_key(**name);
        let Some(name) = self.names.by_ref().find(there) else {
            return Ok(None);
        };
        self.at = name;
        let key: StrDeserializer<'_, Fault> = (*name).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.of.table.get(self.at) {
            Some(value) if !self.of.is_wrong(self.at) => seed
                .deserialize(value.clone().into_deserializer())
                .map_err(|error| Fault::Value(self.at, error)),
            _ => seed.deserialize(StandIn),
        }
    }
}

/// A value for a field that has none, of whatever type is wanted.
struct StandIn;

impl<'de> Deserializer<'de> for StandIn {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("nothing stands in for such a value"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_bool(false)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u32(1)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str("")
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<&str>()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_none()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let first: StrDeserializer<'_, Fault> = variants
            .first()
            .copied()
            .unwrap_or_default()
            .into_deserializer();
        visitor.visit_enum(first)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 u8 u16 u64 f32 f64 char str bytes byte_buf unit unit_struct newtype_struct
        tuple tuple_struct map struct identifier ignored_any
    }
}
