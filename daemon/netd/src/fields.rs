//! The fields of one table of the configuration, which several structs share.
//!
//! serde has `flatten` for that, but it loses where in the file a field is, and it doesn't refuse
//! unknown fields.

use std::ops::Range;
use std::path::Path;
use std::{fmt, mem};

use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::config_error::{ConfigError, Line};

/// The fields that no struct has taken yet.
#[derive(Debug)]
pub(crate) struct Fields<'i> {
    table: DeTable<'i>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

/// An invalid field, and its place.
#[derive(Debug)]
pub(crate) struct FieldError {
    /// The octets of the file, or none if the whole file is meant.
    pub(crate) span: Option<Range<usize>>,
    /// What was expected and what was received.
    pub(crate) reason: String,
}

impl FieldError {
    /// Adds the path of the file, and the line with its text.
    pub(crate) fn in_file(self, path: &Path, text: &str) -> ConfigError {
        // A field that the file lacks is in no line of it.
        let start = self
            .span
            .filter(|span| *span != (0..0))
            .map(|span| span.start);
        let line = start.and_then(|start| {
            let before = text.get(..start)?.matches('\n').count();
            let line = text.lines().nth(before)?.trim().to_owned();
            Some((1 + before, line))
        });
        ConfigError::Parse {
            path: path.to_owned(),
            line: Line(line),
            reason: self.reason,
        }
    }
}

impl From<Error> for FieldError {
    fn from(error: Error) -> Self {
        Self {
            span: error.span(),
            reason: error.message().into(),
        }
    }
}

impl<'i> Fields<'i> {
    /// The fields of a table.
    pub(crate) fn of(table: Spanned<DeTable<'i>>) -> Self {
        Self {
            span: table.span(),
            table: table.into_inner(),
            known: Vec::new(),
        }
    }

    /// The fields of each table in an array.
    pub(crate) fn of_each(array: Spanned<DeValue<'i>>) -> Result<Vec<Self>, FieldError> {
        let span = array.span();
        let tables = match array.into_inner() {
            DeValue::Array(tables) => tables.into_iter(),
            other => return Err(not_tables(span, &other)),
        };
        tables
            .map(|table| {
                let span = table.span();
                match table.into_inner() {
                    DeValue::Table(table) => Ok(Self::of(Spanned::new(span, table))),
                    other => Err(not_tables(span, &other)),
                }
            })
            .collect()
    }

    /// Takes the fields of a struct.
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Result<T, FieldError> {
        Ok(T::deserialize(self)?)
    }

    /// Takes a field without parsing it.
    pub(crate) fn take_value(&mut self, name: &'static str) -> Option<Spanned<DeValue<'i>>> {
        self.known.push(name);
        self.table.remove(name)
    }

    /// Refuses the fields that no struct has taken.
    pub(crate) fn end(self, of: impl fmt::Display) -> Result<(), FieldError> {
        let Some(unknown) = self.table.keys().next() else {
            return Ok(());
        };
        let name = unknown.get_ref();
        let known = self.known.join("`, `");
        Err(FieldError {
            span: Some(unknown.span()),
            reason: format!("unknown field `{name}`{of}, expected one of `{known}`"),
        })
    }
}

fn not_tables(span: Range<usize>, got: &DeValue<'_>) -> FieldError {
    FieldError {
        span: Some(span),
        reason: format!("expected an array of tables, got {}", got.type_str()),
    }
}

impl<'de> Deserializer<'de> for &mut Fields<'de> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.known.extend(fields);
        let (own, rest) = mem::take(&mut self.table)
            .into_iter()
            .partition(|(field, _)| fields.contains(&&**field.get_ref()));
        self.table = rest;
        Spanned::new(self.span.clone(), own)
            .into_deserializer()
            .deserialize_struct(name, fields, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only a struct can take fields"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
