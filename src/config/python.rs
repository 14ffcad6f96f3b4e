//! Names of functions of Python.

use std::path::Path;

/// A function of Python: `module:function` or `file.py:function`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) place: Place<'a>,
    /// Its name there, with dots where it is an attribute of something.
    pub(crate) function: &'a str,
}

/// Where a function of Python is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// In a module, as `import` names it.
    Module(&'a str),
    /// In a file.
    File(&'a str),
}

impl<'a> Target<'a> {
    /// Takes a name apart, or says what is wrong with it.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let (place, function) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("`{text}` names no function"))?;
        if !is_dotted(function) {
            return Err(format!("`{function}` can't be the name of a function"));
        }
        let is_file = Path::new(place)
            .extension()
            .is_some_and(|kind| kind == "py");
        let place = if is_file {
            Place::File(place)
        } else if is_dotted(place) {
            Place::Module(place)
        } else {
            return Err(format!("`{place}` is neither a module nor a `.py` file"));
        };
        Ok(Self { place, function })
    }
}

fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::{Place, Target};

    #[test]
    fn a_function_is_in_a_module_or_a_file() {
        let parse = |text| Target::parse(text).map(|target| (target.place, target.function));
        assert_eq!(
            parse("pkg.my_module:train"),
            Ok((Place::Module("pkg.my_module"), "train"))
        );
        assert_eq!(
            parse("a:b/c.py:Model.fit"),
            Ok((Place::File("a:b/c.py"), "Model.fit"))
        );
        for wrong in [
            "train",
            "a-b:train",
            "mod:",
            ":train",
            "mod:1x",
            "a b.rs:f",
            "m..x:f",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
