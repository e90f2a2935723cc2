//! Path parameters as values.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};

use crate::inject::context::RequestContext;
use crate::request::matched;
use crate::response::problem::{Invalid, Problem};

/// The path's parameters, read into a value by serde: one of them into a number, a string or an enum,
/// several into a tuple in their order, or into a struct or map by their names.
///
/// Refused with 422, naming the parameter, when one does not fit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<RequestContext> for Path<T> {
    type Rejection = Invalid;

    async fn from_request_parts(parts: &mut Parts, context: &RequestContext) -> Result<Self, Invalid> {
        // As many as a route may have: no allocation for a path that was found.
        let mut parameters = Parameters::default();
        for (slot, (name, text)) in parameters.0.iter_mut().zip(context.parameters(parts)) {
            let text = percent_decode_str(text)
                .decode_utf8()
                .map_err(|_| Problem::new("path", "not UTF-8 when percent-decoded").at(name))?;
            *slot = Some(Parameter { name, text });
        }
        T::deserialize(parameters).map(Path).map_err(|Wrong { name, message }| {
            let problem = Problem::new("path", message);
            (match name {
                Some(name) => problem.at(&name),
                None => problem,
            })
            .into()
        })
    }
}

impl<T> Deref for Path<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// All parameters of a path, from the first place on.
#[derive(Default)]
struct Parameters<'a>([Option<Parameter<'a>>; matched::Parameters::MOST]);

/// One of them.
struct Parameter<'a> {
    name: &'a str,
    text: Cow<'a, str>,
}

/// What is wrong, and with which parameter if it is one.
#[derive(Debug)]
struct Wrong {
    name: Option<String>,
    message: String,
}

impl<'a> Parameters<'a> {
    fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    fn one(self) -> Result<Parameter<'a>, Wrong> {
        let count = self.count();
        match self.0.into_iter().next().flatten() {
            Some(one) if count == 1 => Ok(one),
            _ => Err(de::Error::custom(format_args!("the path has {count} parameters, the argument is one"))),
        }
    }
}

/// Forwards to the one parameter.
macro_rules! one {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.one()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Parameters<'_> {
    type Error = Wrong;

    one!(deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_identifier deserialize_option);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.count() == 1 { self.one()?.deserialize_any(visitor) } else { self.deserialize_map(visitor) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let mut sequence = SeqDeserializer::new(self.0.into_iter().flatten());
        let value = visitor.visit_seq(&mut sequence)?;
        sequence.end()?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(MapDeserializer::new(self.0.into_iter().flatten().map(|one| (one.name, one))))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.one()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }
}

impl<'de> IntoDeserializer<'de, Wrong> for Parameter<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Parses the text as what is asked for.
macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            match self.text.parse() {
                Ok(value) => visitor.$visit(value).map_err(|wrong| self.wrong(wrong)),
                Err(error) => Err(self.wrong(de::Error::custom(error))),
            }
        }
    )*};
}

impl Parameter<'_> {
    fn wrong(&self, wrong: Wrong) -> Wrong {
        Wrong { name: Some(self.name.to_owned()), ..wrong }
    }
}

impl<'de> Deserializer<'de> for Parameter<'_> {
    type Error = Wrong;

    parsed!(deserialize_bool visit_bool deserialize_char visit_char
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
        deserialize_f32 visit_f32 deserialize_f64 visit_f64);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(&self.text).map_err(|wrong| self.wrong(wrong))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_enum(self.text.as_ref().into_deserializer()).map_err(|wrong: Wrong| self.wrong(wrong))
    }

    serde::forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Wrong { name: None, message: message.to_string() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    fn read<T: DeserializeOwned>(parameters: &[(&str, &str)]) -> Result<T, String> {
        let mut all = Parameters::default();
        for (slot, &(name, text)) in all.0.iter_mut().zip(parameters) {
            *slot = Some(Parameter { name, text: text.into() });
        }
        T::deserialize(all).map_err(|wrong| format!("{}: {}", wrong.name.unwrap_or_default(), wrong.message))
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Place {
        house: u16,
        street: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id(u64);

    #[test]
    fn one_parameter_is_a_value() {
        assert_eq!(read::<u64>(&[("id", "7")]), Ok(7));
        assert_eq!(read::<Id>(&[("id", "7")]), Ok(Id(7)));
        assert_eq!(read::<(u64,)>(&[("id", "7")]), Ok((7,)));
        assert_eq!(read::<String>(&[("id", "7")]), Ok("7".to_owned()));
        assert_eq!(read::<Colour>(&[("colour", "red")]), Ok(Colour::Red));
    }

    #[test]
    fn several_are_a_tuple_a_struct_or_a_map() {
        let both = [("street", "Mill Lane"), ("house", "12")];
        assert_eq!(read::<(String, u16)>(&both), Ok(("Mill Lane".to_owned(), 12)));
        assert_eq!(read::<Place>(&both), Ok(Place { house: 12, street: "Mill Lane".to_owned() }));
        let map = BTreeMap::from([("street".to_owned(), "Mill Lane".into()), ("house".into(), "12".into())]);
        assert_eq!(read::<BTreeMap<String, String>>(&both), Ok(map));
    }

    #[test]
    fn a_wrong_one_is_named() {
        let both = [("street", "Mill Lane"), ("house", "twelve")];
        let wrong = Err("house: invalid digit found in string".to_owned());
        assert_eq!(read::<Place>(&both).map(drop), wrong);
        assert_eq!(read::<(String, u16)>(&both).map(drop), wrong);
        let blue = read::<Colour>(&[("colour", "blue")]).map(drop);
        assert_eq!(blue, Err("colour: unknown variant `blue`, expected `red`".to_owned()));
    }

    #[test]
    fn the_count_must_fit() {
        let both = [("a", "1"), ("b", "2")];
        let one = Err(": the path has 2 parameters, the argument is one".to_owned());
        assert_eq!(read::<u8>(&both).map(drop), one);
        assert!(read::<(u8,)>(&both).is_err());
        assert!(read::<(u8, u8, u8)>(&both).is_err());
    }
}
