use serde_json::Value;

/// The keys that the configuration knows, as dotted paths.
pub(super) struct Vocabulary(Vec<String>);

impl Vocabulary {
    pub(super) fn new(schema: &Value) -> Self {
        let mut paths = Vec::new();
        collect(schema, schema, "", &mut paths);
        let mut seen = std::collections::HashSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        Self(paths)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn top_level(&self) -> impl Iterator<Item = &str> {
        self.paths().filter(|path| !path.contains('.'))
    }

    pub(super) fn is_top_level(&self, key: &str) -> bool {
        self.top_level().any(|path| path == key)
    }

    /// The path of a key that stands in another section.
    pub(super) fn elsewhere(&self, key: &str) -> Option<&str> {
        self.paths()
            .find(|path| path.rsplit_once('.').is_some_and(|(_, last)| last == key))
    }
}

/// A pruner may hold a pruner, and so on; deeper keys are the same again.
const DEEPEST: usize = 3;

fn collect(root: &Value, schema: &Value, prefix: &str, paths: &mut Vec<String>) {
    if prefix.matches('.').count() == DEEPEST {
        return;
    }
    let schema = resolve(root, schema);
    for branch in branches(schema) {
        collect(root, branch, prefix, paths);
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (key, inner) in properties {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        paths.push(path.clone());
        collect(root, inner, &path, paths);
    }
}

/// The alternatives of a schema.
pub(super) fn branches(schema: &Value) -> &[Value] {
    ["anyOf", "oneOf"]
        .into_iter()
        .find_map(|key| schema.get(key)?.as_array())
        .map_or(&[], Vec::as_slice)
}

/// The schema that a `$ref` stands for.
pub(super) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    reference(schema)
        .and_then(|name| root.get("$defs")?.get(name))
        .unwrap_or(schema)
}

/// The name in `#/$defs/NAME`.
pub(super) fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}
