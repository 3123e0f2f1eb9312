//! Parses requests of servers and builds the answers, for bootstrap and management alike.

use std::fmt;

use softsim_coap::{Code, Request, Response};

use crate::content::{ContentError, ContentFormat, decode, encode};
use crate::objects::Object;
use crate::path::Path;
use crate::value::Instances;

/// The target of a request.
pub(crate) fn target(request: &Request) -> Result<Path, Response> {
    Path::from_segments(&request.path).ok_or(Response::new(Code::NOT_FOUND))
}

/// The instances in a request's body.
pub(crate) fn decode_body(
    object: &Object,
    path: Path,
    request: &Request,
) -> Result<Instances, Response> {
    let format = request.content_format.and_then(ContentFormat::from_id);
    let format = format.ok_or(Response::new(Code::UNSUPPORTED_CONTENT_FORMAT))?;
    decode(format, object, path, &request.payload).map_err(|error| match error {
        ContentError::Format { .. } => refuse(Code::UNSUPPORTED_CONTENT_FORMAT, error),
        _ => refuse(Code::BAD_REQUEST, error),
    })
}

/// 2.05 with the values at `path`, in the requested format.
pub(crate) fn content(
    path: Path,
    instances: &Instances,
    accept: Option<u16>,
    default: ContentFormat,
) -> Result<Response, Response> {
    let unacceptable = || Response::new(Code::NOT_ACCEPTABLE);
    let format = accept
        .map_or(Some(default), ContentFormat::from_id)
        .ok_or_else(unacceptable)?;
    let body = encode(format, path, instances).ok_or_else(unacceptable)?;
    Ok(Response::content(format.id(), body))
}

/// An error response with a diagnostic payload (RFC 7252 §5.5.2).
pub(crate) fn refuse(code: Code, why: impl fmt::Display) -> Response {
    Response {
        payload: why.to_string().into_bytes(),
        ..Response::new(code)
    }
}
