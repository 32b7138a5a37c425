//! An answer in a form that can be compared: series by labels, samples by time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Samples of a series: time and either a string or a histogram object.
pub type Samples = Vec<(f64, Value)>;

/// What a server said.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status other than success.
    Refused {
        /// `errorType`.
        kind: String,
        /// `error`.
        text: String,
    },
    /// Success.
    Result(Data),
}

/// A successful answer.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// `vector`, `matrix`, `scalar` or `string`.
    pub kind: String,
    /// Samples by labels.
    pub series: BTreeMap<String, Samples>,
    /// Labels with first value as they came.
    pub order: Vec<(String, String)>,
    /// `warnings` and `infos`.
    pub notes: BTreeSet<String>,
}

/// Reads a response body.
pub fn read(body: &[u8]) -> Answer {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return Answer::Refused {
            kind: "not JSON".to_owned(),
            text: String::from_utf8_lossy(body).into_owned(),
        };
    };
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    if json["status"] != "success" {
        return Answer::Refused { kind: text("errorType"), text: text("error") };
    }
    let notes = ["warnings", "infos"]
        .iter()
        .flat_map(|name| json[*name].as_array().into_iter().flatten())
        .map(|note| note.as_str().unwrap_or("not a string").to_owned())
        .collect();
    let kind = json["data"]["resultType"].as_str().unwrap_or_default().to_owned();
    let mut data = Data { kind, notes, ..Data::default() };
    let result = &json["data"]["result"];
    if matches!(data.kind.as_str(), "scalar" | "string") {
        push(&mut data, "{}".to_owned(), &[result]);
        return Answer::Result(data);
    }
    for series in result.as_array().into_iter().flatten() {
        let single = ["value", "histogram"].iter().filter_map(|name| series.get(*name));
        let many = ["values", "histograms"].iter().filter_map(|name| series.get(*name)?.as_array()).flatten();
        push(&mut data, series["metric"].to_string(), &single.chain(many).collect::<Vec<_>>());
    }
    Answer::Result(data)
}

fn push(data: &mut Data, metric: String, points: &[&Value]) {
    let mut samples: Samples =
        points.iter().map(|p| (p[0].as_f64().unwrap_or(f64::NAN), p[1].clone())).collect();
    samples.sort_by(|x, y| x.0.total_cmp(&y.0));
    data.order.push((metric.clone(), samples.first().map_or(String::new(), |(_, v)| v.to_string())));
    data.series.entry(metric).or_default().extend(samples);
}

impl Answer {
    /// Whether there is at least one sample.
    pub fn has_samples(&self) -> bool {
        matches!(self, Self::Result(data) if !data.series.is_empty())
    }
}
