use super::suggest::nearest;

const SCHEMES: [&str; 7] = [
    "http",
    "https",
    "file",
    "sqlite",
    "postgresql",
    "mysql",
    "mssql",
];
const EXAMPLE: &str = "as in `http://localhost:5000`, or `file:` for the journal alone";

/// Whether a text can be the address of a tracking server: if not, what is
/// wrong and what to write.
pub(super) fn check(uri: &str) -> Result<(), (String, String)> {
    let wrong = |message: &str, help: String| Err((message.to_owned(), help));
    if uri.is_empty() {
        let help =
            format!("write an address, {EXAMPLE}; leave the key out for a server of explr's own");
        return wrong("`mlflow.tracking_uri` is empty", help);
    }
    if uri.starts_with(['.', '/', '~']) {
        let help =
            format!("did you mean `file:{uri}`? That is, the journal alone, without a server");
        return wrong("`mlflow.tracking_uri` is no address", help);
    }
    let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return wrong(
            "`mlflow.tracking_uri` is no address",
            format!("write an address, {EXAMPLE}"),
        );
    };
    // `mysql+pymysql://` names the driver as well.
    let base = scheme
        .split('+')
        .next()
        .unwrap_or(scheme)
        .to_ascii_lowercase();
    if !SCHEMES.contains(&base.as_str()) {
        let port = rest.split('/').next().unwrap_or_default();
        let help = if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("did you mean `http://{uri}`?")
        } else {
            nearest(&base, SCHEMES).map_or_else(
                || format!("write an address, {EXAMPLE}"),
                |near| format!("did you mean `{near}:{rest}`?"),
            )
        };
        let message = format!("`{scheme}:` is no kind of tracking address that explr knows");
        return Err((message, help));
    }
    if base.starts_with("http") {
        check_host(rest)
    } else {
        Ok(())
    }
}

fn is_scheme(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The part of an HTTP address after the scheme.
fn check_host(rest: &str) -> Result<(), (String, String)> {
    let authority = rest.strip_prefix("//").unwrap_or_default();
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') || host.contains(char::is_whitespace) {
        let message = "`mlflow.tracking_uri` names no host".to_owned();
        return Err((message, format!("write an address, {EXAMPLE}")));
    }
    match host
        .rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'))
    {
        Some((_, port)) if port.parse::<u16>().map_or(true, |port| port == 0) => Err((
            format!("`{port}` is no port: ports are 1 to 65535"),
            EXAMPLE.to_owned(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn addresses_that_mlflow_takes_are_taken() {
        for good in [
            "http://localhost:5000",
            "https://me:p@ss@box/mlflow?x=1",
            "http://[::1]:5000",
            "http://[::1]",
            "file:",
            "file:///data/mlruns",
            "sqlite:///mlflow.db",
            "mysql+pymysql://u@h/db",
            "HTTP://box",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_way_out() {
        for (bad, way_out) in [
            ("localhost:5000", "did you mean `http://localhost:5000`?"),
            ("htps://box", "did you mean `https://box`?"),
            ("./mlruns", "file:./mlruns"),
            ("databricks", "as in `http://localhost:5000`"),
            ("databricks://profile", "as in `http://localhost:5000`"),
            ("http:box", "as in `http://localhost:5000`"),
            ("http://", "as in `http://localhost:5000`"),
            ("http://box:", "as in `http://localhost:5000`"),
            ("http://box:0", "as in `http://localhost:5000`"),
            ("", "leave the key out"),
        ] {
            let (_, help) = check(bad).unwrap_err();
            assert!(help.contains(way_out), "{bad}: {help}");
        }
    }
}
