//! A message as a transcript writes it: a kind, and keys with values, some inside others.

use super::words::{Complaint, Form, Words};
use std::fmt;

/// How deep a key stands: options of the message, of a relay agent, of an IA, of a lease in an IA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Headers and options of the message itself.
    Message,
    /// What one relay agent wrote around it.
    Relay,
    /// Inside an IA.
    Ia,
    /// Inside an address or prefix of an IA.
    Lease,
}

/// What a key means.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The word.
    pub name: &'static str,
    /// Where it may stand.
    pub level: Level,
    /// The level of the keys that may follow inside it.
    pub opens: Option<Level>,
    /// Option code, if it is an option (0: a header field or part of the envelope).
    pub code: u16,
    /// Form of its value.
    pub form: Form,
}

impl Key {
    /// An option of the message.
    pub const fn option(name: &'static str, code: u16, form: Form) -> Self {
        Self {
            name,
            level: Level::Message,
            opens: None,
            code,
            form,
        }
    }

    /// A header field, or a part of the envelope.
    pub const fn field(name: &'static str, form: Form) -> Self {
        Self::option(name, 0, form)
    }

    /// The same key at another level.
    #[must_use]
    pub const fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The same key with other keys inside.
    #[must_use]
    pub const fn opening(self, level: Level) -> Self {
        Self {
            opens: Some(level),
            ..self
        }
    }
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The keys and values around it, outermost first: `/ia-na 1/address fd00::10`.
    pub scope: String,
    /// The key.
    pub key: String,
    /// Its value as the transcript writes it, in the one normal spelling.
    pub value: String,
}

/// A message: what is sent, what is expected, or what came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The message type, or `nothing`.
    pub kind: String,
    /// Keys and values in order.
    pub fields: Vec<Field>,
    /// Keys that an expectation says are not there, with their scopes.
    pub absent: Vec<(String, String)>,
}

/// The vocabulary of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Grammar {
    /// Every key. Options without a name are written `option-CODE`.
    pub keys: &'static [Key],
}

impl Grammar {
    /// The key of a name at a level.
    pub fn find(&self, name: &str, level: Level) -> Option<Key> {
        self.keys
            .iter()
            .find(|key| key.name == name && key.level == level)
            .copied()
    }

    /// Name and form of an option at a level.
    pub fn option(&self, code: u16, level: Level) -> (String, Form) {
        let known = self
            .keys
            .iter()
            .find(|key| key.code == code && key.level == level);
        known.map_or((format!("option-{code}"), Form::Octets), |key| {
            (key.name.to_owned(), key.form)
        })
    }

    /// Reads the words of a message; `us` stands for the server in a value.
    ///
    /// # Errors
    /// The first word that has no meaning.
    pub fn parse(&self, text: &str, us: impl Fn(Form) -> String) -> Result<Line, Complaint> {
        let mut words = Words::of(text)?;
        let mut line = Line {
            kind: words.next_word().ok_or("a message type is missing")?,
            ..Line::default()
        };
        let mut scopes: Vec<(Level, String)> = vec![(Level::Message, String::new())];
        while let Some(word) = words.next_word() {
            let absent = word == "no";
            let name = if absent { words.value("no")? } else { word };
            let key = loop {
                let (level, _) = scopes
                    .last()
                    .ok_or_else(|| format!("`{name}` means nothing here"))?;
                match self.find(&name, *level).or_else(|| unnamed(&name, *level)) {
                    Some(key) => break key,
                    None => scopes.pop(),
                };
            };
            let scope = scopes
                .last()
                .map(|(_, scope)| scope.clone())
                .unwrap_or_default();
            if absent {
                line.absent.push((scope, name));
                continue;
            }
            let value = match key.form {
                Form::Flag => String::new(),
                form => match words.value(&name)?.as_str() {
                    "us" => us(form),
                    written => form.render(&form.encode(written)?),
                },
            };
            if let Some(level) = key.opens {
                scopes.push((level, format!("{scope}/{name} {value}")));
            }
            line.fields.push(Field {
                scope,
                key: name,
                value,
            });
        }
        Ok(line)
    }
}

/// `option-CODE`, an option that has no name of its own.
fn unnamed(name: &str, level: Level) -> Option<Key> {
    let code = name.strip_prefix("option-")?.parse().ok()?;
    (level == Level::Message).then_some(Key::option("", code, Form::Octets))
}

impl Line {
    /// Adds a field at the level of the message.
    pub fn push(&mut self, key: &str, value: String) {
        self.push_in("", key, value);
    }

    /// Adds a field in a scope.
    pub fn push_in(&mut self, scope: &str, key: &str, value: String) {
        self.fields.push(Field {
            scope: scope.to_owned(),
            key: key.to_owned(),
            value,
        });
    }

    /// The first value of a key at the level of the message.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.value_in("", key)
    }

    /// The first value of a key in a scope.
    pub fn value_in(&self, scope: &str, key: &str) -> Option<&str> {
        let field = self
            .fields
            .iter()
            .find(|field| field.scope == scope && field.key == key);
        field.map(|field| field.value.as_str())
    }

    /// Whether a key stands at the level of the message.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Fields of a scope, without those inside others.
    pub fn inside<'a>(&'a self, scope: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.scope == scope)
    }

    /// What is expected here and not so in `actual`, one sentence each.
    pub fn missing_in(&self, actual: &Line) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        if self.kind != actual.kind {
            complaints.push(format!("expected {}, got {}", self.kind, actual.kind));
        }
        for field in &self.fields {
            if !actual.fields.contains(field) {
                let there = actual.value_in(&field.scope, &field.key);
                let there = there.map_or("it is absent".to_owned(), |value| {
                    format!("it is `{value}`")
                });
                complaints.push(format!("expected `{}`: {there}", field.path()));
            }
        }
        for (scope, key) in &self.absent {
            if let Some(value) = actual.value_in(scope, key) {
                complaints.push(format!("expected no `{key}`: it is `{value}`"));
            }
        }
        complaints
    }

    /// This expectation made true of `actual`: the same keys with the values that came, or, if no key was
    /// asked for, all of them.
    #[must_use]
    pub fn updated(&self, actual: &Line) -> Line {
        if self.fields.is_empty() && self.absent.is_empty() {
            return actual.clone();
        }
        let asked = |field: &&Field| {
            self.fields
                .iter()
                .any(|wanted| wanted.key == field.key && wanted.depth() == field.depth())
        };
        let present = |(scope, key): &&(String, String)| actual.value_in(scope, key).is_none();
        Line {
            kind: actual.kind.clone(),
            fields: actual.fields.iter().filter(asked).cloned().collect(),
            absent: self.absent.iter().filter(present).cloned().collect(),
        }
    }
}

impl Field {
    fn depth(&self) -> usize {
        self.scope.matches('/').count()
    }

    fn path(&self) -> String {
        let inside = self.scope.trim_start_matches('/').replace('/', " ");
        format!("{inside} {} {}", self.key, self.value)
            .trim()
            .to_owned()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        self.write_absent(f, "")?;
        for (place, field) in self.fields.iter().enumerate() {
            match field.value.as_str() {
                "" => write!(f, "  {}", field.key)?,
                value => write!(f, "  {} {value}", field.key)?,
            }
            let later = self.fields.get(place + 1..).unwrap_or_default();
            for scope in [
                &field.scope,
                &format!("{}/{} {}", field.scope, field.key, field.value),
            ] {
                if !scope.is_empty() && !later.iter().any(|field| field.scope.starts_with(scope)) {
                    self.write_absent(f, scope)?;
                }
            }
        }
        Ok(())
    }
}

impl Line {
    fn write_absent(&self, f: &mut fmt::Formatter<'_>, scope: &str) -> fmt::Result {
        self.absent
            .iter()
            .filter(|(inside, _)| inside == scope)
            .try_for_each(|(_, key)| write!(f, "  no {key}"))
    }
}
