//! Describes each message in one readable line, with the names of its attributes and without
//! secrets.

use std::fmt;

use softsim_eap_packet::{AkaMessage, Attribute, Code, Notification, Packet, Type};

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the server to us.
    Received,
    /// From us to the server.
    Sent,
}

/// The description of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its direction.
    pub direction: Direction,
    /// The identifier that pairs request and response; `None` if the peer could read no EAP
    /// header.
    pub identifier: Option<u8>,
    /// The message's name in the RFC, such as `EAP-Request/AKA'-Challenge`.
    pub message: String,
    /// Its attributes in order, with the values that are numbers or names.
    pub attributes: Vec<String>,
    /// What the peer did with it, if that is unusual.
    pub remark: Option<String>,
    /// Whether the remark is for whoever runs the gateway, even if nobody watches the messages.
    pub is_warning: bool,
}

impl Note {
    /// Describes a packet.
    pub(crate) fn of(direction: Direction, packet: &Packet<'_>) -> Self {
        let message = packet.aka().ok();
        let attributes = message
            .iter()
            .flat_map(AkaMessage::attributes)
            .map(attribute)
            .collect();
        let message = name(packet, message.as_ref());
        Note {
            direction,
            identifier: Some(packet.identifier),
            message,
            attributes,
            remark: None,
            is_warning: false,
        }
    }

    /// Describes octets that are not an EAP packet.
    pub(crate) fn unreadable(error: impl fmt::Display) -> Self {
        Note {
            direction: Direction::Received,
            identifier: None,
            message: "no EAP packet".to_owned(),
            attributes: Vec::new(),
            remark: Some(format!("discarded: {error}")),
            is_warning: false,
        }
    }

    pub(crate) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    pub(crate) fn warning(self, remark: impl Into<String>) -> Self {
        Self {
            is_warning: true,
            ..self.remark(remark)
        }
    }
}

fn name(packet: &Packet<'_>, message: Option<&AkaMessage<'_>>) -> String {
    let (direction, kind) = match (packet.code, packet.typed) {
        (Code::Success, _) => return "EAP-Success".to_owned(),
        (Code::Failure, _) => return "EAP-Failure".to_owned(),
        (Code::Response, Some((kind, _))) => ("Response", kind),
        (_, Some((kind, _))) => ("Request", kind),
        (_, None) => return "EAP without type".to_owned(),
    };
    let method = match kind {
        Type::Identity => "Identity".to_owned(),
        Type::Notification => "Notification".to_owned(),
        Type::Nak => "Nak".to_owned(),
        Type::Aka => "AKA".to_owned(),
        Type::AkaPrime => "AKA'".to_owned(),
        Type::Other(octet) => format!("type {octet}"),
    };
    match message {
        Some(message) => format!("EAP-{direction}/{method}-{}", message.subtype),
        None => format!("EAP-{direction}/{method}"),
    }
}

fn attribute(attribute: Attribute<'_>) -> String {
    let kind = attribute.kind();
    match attribute {
        Attribute::Kdf(number) | Attribute::KdfFs(number) | Attribute::ClientErrorCode(number) => {
            format!("{kind}={number}")
        }
        Attribute::Notification(code) => format!("{kind}={}", Notification(code)),
        Attribute::Bidding(d) => format!("{kind}={}", u8::from(d)),
        Attribute::KdfInput(name) => format!("{kind}={}", name.escape_ascii()),
        _ => kind.to_string(),
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.direction {
            Direction::Received => "<- ",
            Direction::Sent => "-> ",
        })?;
        f.write_str(&self.message)?;
        if let Some(identifier) = self.identifier {
            write!(f, " id {identifier}")?;
        }
        if !self.attributes.is_empty() {
            write!(f, ": {}", self.attributes.join(", "))?;
        }
        match &self.remark {
            Some(remark) => write!(f, " ({remark})"),
            None => Ok(()),
        }
    }
}
