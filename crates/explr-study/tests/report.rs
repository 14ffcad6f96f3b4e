//! The page holds the study, whatever it is called and whatever its numbers.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_study::report::{Options, html, text};
use explr_study::{Direction, Finish, History, SearchSpace, Study};
use serde_json::{Value, json};

const HOSTILE: &str = "</script><script>alert(1)</script>{{data}}<!-- & \"";

/// The JSON that the page's scripts read.
fn data(page: &str) -> Value {
    let begin = r#"<script type="application/json" id="data">"#;
    let (_, rest) = page.split_once(begin).unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(data).unwrap()
}

fn page(history: &History) -> String {
    html(history, &Options::default())
}

fn study(space: SearchSpace, directions: &[Direction]) -> Study {
    Study::builder("s")
        .space(space)
        .directions(directions.to_vec())
        .build()
        .unwrap()
}

#[test]
fn hostile_names_stay_texts() {
    let space = SearchSpace::builder()
        .float(HOSTILE, 0.0..=1.0)
        .categorical("kind", [HOSTILE])
        .build()
        .unwrap();
    let mut study = Study::builder(HOSTILE).space(space).build().unwrap();
    study.optimize(2, |_| Ok(1.0)).unwrap();
    let page = page(study.history());
    let plain = page_of_a_plain_study();
    assert_eq!(
        page.matches("<script").count(),
        plain.matches("<script").count()
    );
    assert_eq!(
        page.matches("</script").count(),
        plain.matches("</script").count()
    );
    let data = data(&page);
    assert_eq!(data["name"], HOSTILE);
    assert_eq!(data["params"][0]["name"], HOSTILE);
    assert_eq!(data["params"][1]["choices"], json!([HOSTILE]));
}

fn page_of_a_plain_study() -> String {
    page(study(SearchSpace::default(), &[Direction::Minimize]).history())
}

#[test]
fn the_page_needs_nothing_else() {
    let page = page_of_a_plain_study();
    for outside in ["http:", "https:", "src=", "@import", "url(", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("{{"));
}

#[test]
fn numbers_that_json_lacks_are_texts() {
    let mut study = study(SearchSpace::default(), &[Direction::Minimize]);
    let number = study.ask().unwrap().unwrap().number;
    for (step, value) in [(0, f64::NAN), (1, 0.1 + 0.2), (2, f64::NEG_INFINITY)] {
        study.report(number, step, value).unwrap();
    }
    study
        .tell(number, Finish::Complete(vec![f64::INFINITY]))
        .unwrap();
    let data = data(&page(study.history()));
    assert_eq!(data["trials"]["values"], json!([["Infinity"]]));
    assert_eq!(
        data["curves"],
        json!([{"trial": 0, "steps": [0, 1, 2], "values": ["NaN", 0.3, "-Infinity"]}])
    );
}

#[test]
fn an_inactive_parameter_has_no_value() {
    let space = SearchSpace::builder()
        .categorical("kind", ["plain", "rich"])
        .float("detail", 0.0..=1.0)
        .when("kind", ["rich"])
        .build()
        .unwrap();
    let mut study = study(space, &[Direction::Maximize]);
    study.optimize(20, |_| Ok(1.0)).unwrap();
    let data = data(&page(study.history()));
    let place = |name: &str| {
        let params = data["params"].as_array().unwrap();
        params
            .iter()
            .position(|param| param["name"] == name)
            .unwrap()
    };
    let column = |name| data["trials"]["params"][place(name)].as_array().unwrap();
    for (kind, detail) in column("kind").iter().zip(column("detail")) {
        assert_eq!(*kind == json!(1), detail.is_number(), "{kind}: {detail}");
    }
    assert_eq!(
        data["objectives"],
        json!([{"label": "objective", "maximize": true}])
    );
}

#[test]
fn several_objectives_have_a_front() {
    let mut study = study(
        SearchSpace::default(),
        &[Direction::Minimize, Direction::Maximize],
    );
    for values in [[1.0, 1.0], [2.0, 2.0], [3.0, 1.0]] {
        let number = study.ask().unwrap().unwrap().number;
        study
            .tell(number, Finish::Complete(values.to_vec()))
            .unwrap();
    }
    let options = Options {
        title: Some("speed & size".to_owned()),
        objectives: vec!["seconds".to_owned()],
    };
    let page = html(study.history(), &options);
    assert!(page.contains("<title>speed &amp; size</title>"));
    let data = data(&page);
    assert_eq!(data["front"], json!([0, 1]));
    assert_eq!(data["importances"], json!([[], []]));
    assert_eq!(data["objectives"][0]["label"], "seconds");
    assert_eq!(data["objectives"][1]["label"], "objective 2");
    assert!(text(study.history()).contains("\nPareto front: 2 trial(s)\n"));
}

#[test]
fn curves_of_a_large_study_are_thinned_and_keep_the_best() {
    let mut study = study(SearchSpace::default(), &[Direction::Minimize]);
    study
        .optimize(1001, |trial| {
            for step in 0..250 {
                trial.report(step, 1.0)?;
            }
            Ok(if trial.number() == 501 { 0.0 } else { 1.0 })
        })
        .unwrap();
    let data = data(&page(study.history()));
    let curves = data["curves"].as_array().unwrap();
    assert_eq!(data["reporting"], 1001);
    assert!(curves.len() <= 402, "{}", curves.len());
    assert!(curves.iter().any(|curve| curve["trial"] == 501));
    let steps = curves[0]["steps"].as_array().unwrap();
    assert!(steps.len() <= 201, "{}", steps.len());
    assert_eq!((&steps[0], steps.last()), (&json!(0), Some(&json!(249))));
}
