//! Remote read: both forms of answers, and requests that make no sense.
#![allow(clippy::unwrap_used)]

mod source;

use http_body_util::BodyExt;
use norn_codec::crc::crc32c;
use norn_codec::xor;
use norn_http::axum::Router;
use norn_http::axum::body::Body;
use norn_http::axum::http::{HeaderMap, Request};
use norn_kit::metrics::Registry;
use norn_limits::Limits;
use norn_querier::Gate;
use norn_wire::content;
use norn_wire::proto::read::{
    Chunk, ChunkedReadResponse, LabelMatcher, Query, QueryResult, ReadRequest, ReadResponse,
};
use norn_wire::proto::v1::Label;
use norn_wire::proto::{Count, Message};
use tower::ServiceExt;

const START: i64 = 1_700_000_000_000;

async fn post(router: &Router, body: Vec<u8>) -> (u16, HeaderMap, Vec<u8>) {
    let request = Request::post("/api/v1/read").body(Body::from(body)).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, headers, body.to_vec())
}

async fn read(router: &Router, request: &ReadRequest) -> (u16, HeaderMap, Vec<u8>) {
    post(router, content::pack_snappy(&request.encode_to_vec()).unwrap()).await
}

fn query(kind: i32, name: &str, value: &str, start: i64, end: i64) -> Query {
    let matcher = LabelMatcher { r#type: kind, name: name.to_owned(), value: value.to_owned() };
    Query { start_timestamp_ms: start, end_timestamp_ms: end, matchers: vec![matcher] }
}

fn request(accepted: &[i32], queries: &[Query]) -> ReadRequest {
    ReadRequest { queries: queries.to_vec(), accepted_response_types: accepted.to_vec() }
}

fn name(labels: &[Label]) -> &str {
    labels.iter().find(|l| l.name == "__name__").map_or("", |l| &l.value)
}

async fn samples(router: &Router, queries: &[Query]) -> Vec<QueryResult> {
    let (status, headers, body) = read(router, &request(&[], queries)).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    assert_eq!(
        (&headers["content-type"], &headers["content-encoding"]),
        (&"application/x-protobuf".parse().unwrap(), &"snappy".parse().unwrap())
    );
    let mut raw = Vec::new();
    content::snappy(&body, 100 << 20, &mut raw).unwrap();
    ReadResponse::decode(&*raw).unwrap().results
}

/// The frames of a streamed answer.
async fn frames(router: &Router, queries: &[Query]) -> Vec<ChunkedReadResponse> {
    let (status, headers, body) = read(router, &request(&[1, 0], queries)).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert_eq!(headers["content-type"], kind);
    assert!(headers.get("content-encoding").is_none());
    let (mut rest, mut frames) = (&body[..], Vec::new());
    while !rest.is_empty() {
        let (mut len, mut shift) = (0, 0);
        loop {
            let (byte, tail) = rest.split_first().unwrap();
            rest = tail;
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (crc, tail) = rest.split_at(4);
        let (data, tail) = tail.split_at(len);
        assert_eq!(crc, crc32c(data).to_be_bytes());
        frames.push(ChunkedReadResponse::decode(data).unwrap());
        rest = tail;
    }
    frames
}

#[tokio::test]
async fn samples_come_by_query_and_series_within_their_range() {
    let queries = [
        query(0, "__name__", "http_requests_total", START, START + 30_000),
        query(2, "__name__", "gauge_0[12]", START + 15_000, START + 15_000),
        query(0, "__name__", "nothing", START, START + 30_000),
        query(3, "__name__", "gauge_.*|http.*", START, START + 30_000),
    ];
    let results = samples(&source::router(), &queries).await;
    assert_eq!(results.len(), 4);
    let first = &results[0].timeseries;
    assert_eq!(first.len(), 4);
    let codes: Vec<_> =
        first.iter().map(|s| (s.labels[1].value.as_str(), s.labels[2].value.as_str())).collect();
    assert_eq!(codes, [("200", "api:8080"), ("200", "web:8080"), ("500", "api:8080"), ("500", "web:8080")]);
    let times: Vec<_> = first[0].samples.iter().map(|s| s.timestamp - START).collect();
    assert_eq!(times, [0, 15_000, 30_000]);
    let values: Vec<_> =
        results[1].timeseries.iter().map(|s| (name(&s.labels), s.samples[0].value)).collect();
    assert_eq!(values, [("gauge_01", 1.0), ("gauge_02", 2.0)]);
    assert!(results[2].timeseries.is_empty());
    let counts: Vec<_> = results[3].timeseries.iter().flat_map(|s| &s.histograms).map(|h| h.count).collect();
    assert!(!counts.is_empty() && counts.iter().all(|c| matches!(c, Some(Count::Int(_)))), "{counts:?}");
}

#[tokio::test]
async fn chunks_hold_the_same_samples() {
    let range = (START, START + 600_000);
    let queries = [
        query(2, "__name__", "gauge_.*", range.0, range.1),
        query(0, "__name__", "nothing", range.0, range.1),
        query(0, "__name__", "http_requests_total", range.0, range.1),
    ];
    let router = source::router();
    let results = samples(&router, &queries).await;
    let frames = frames(&router, &queries).await;
    assert!(frames.is_sorted_by_key(|f| f.query_index));
    for frame in &frames {
        let [series] = &frame.chunked_series[..] else { panic!("one series a frame") };
        let want = &results[frame.query_index as usize].timeseries;
        let want = want.iter().find(|s| s.labels == series.labels).unwrap();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for Chunk { r#type, data, min_time_ms, .. } in &series.chunks {
            assert_eq!(*r#type, 1);
            assert!(times.last().is_none_or(|t| t < min_time_ms));
            xor::decode(data, range.0, range.1, &mut times, &mut values).unwrap();
        }
        let got: Vec<_> = times.into_iter().zip(values.iter().map(|v| v.to_bits())).collect();
        let want: Vec<_> = want.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
        assert_eq!(got, want);
    }
    assert_eq!(frames.len(), results.iter().map(|r| r.timeseries.len()).sum::<usize>());
}

#[tokio::test]
async fn histograms_keep_their_encoding_in_chunks() {
    let all = query(2, "__name__", ".*hist.*|.*seconds.*", 0, i64::MAX);
    let frames = frames(&source::router(), &[all]).await;
    let kinds: Vec<_> = frames.iter().flat_map(|f| &f.chunked_series[0].chunks).map(|c| c.r#type).collect();
    assert!(kinds.contains(&2), "{kinds:?}");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let router = source::router();
    let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
    let up = query(0, "__name__", "up", 0, 1);
    let bomb = vec![0xff, 0xff, 0xff, 0x7f, 0];
    for body in [b"xx".to_vec(), bomb, content::pack_snappy(b"\x0a\xff").unwrap()] {
        assert_eq!(post(&router, body).await.0, 400);
    }
    let (status, _, body) = read(&router, &request(&[7], std::slice::from_ref(&up))).await;
    assert_eq!(status, 400);
    assert!(text(body).contains("does not support any of the requested response types"));
    assert_eq!(read(&router, &request(&[7, 0], std::slice::from_ref(&up))).await.0, 200);
    for bad in [query(4, "a", "b", 0, 1), query(2, "a", "(", 0, 1)] {
        assert_eq!(read(&router, &request(&[], &[bad])).await.0, 400);
    }
    // More memory than the request has bytes.
    let many = vec![Query::default(); 600_000];
    assert_eq!(read(&router, &request(&[], &many)).await.0, 400);
}

#[tokio::test]
async fn limits_hold() {
    let under =
        |limits| source::router_under(source::Memory::load(), "team", &Registry::new(), limits, Gate::new(1));
    let four = query(0, "__name__", "http_requests_total", START, START + 30_000);
    for (limits, id) in [
        (Limits { max_fetched_series_per_query: 3, ..Limits::default() }, "max-series-per-query"),
        (
            Limits { max_estimated_memory_consumption_per_query: 100, ..Limits::default() },
            "max-estimated-memory-consumption-per-query",
        ),
    ] {
        let (status, _, body) = read(&under(limits), &request(&[], std::slice::from_ref(&four))).await;
        let text = String::from_utf8(body).unwrap();
        assert!(status == 422 && text.contains(&format!("(err-mimir-{id})")), "{status} {text}");
    }
}
