use explr::Exit;

pub(crate) fn execute() -> anyhow::Result<Exit> {
    let schema = serde_json::to_string_pretty(&explr::config::schema())?;
    super::runs::emit(&format!("{schema}\n"))?;
    Ok(Exit::Ok)
}
