//! The LwM2M servers with a device: what they request, accept and record.

#![allow(clippy::unwrap_used, clippy::panic)]

mod device;

use std::time::Duration;

use device::{Device, success};
use softsim_coap::{Code, Method, Request, Response};
use softsim_lab_simulators::bootstrap_server::{
    Account, BootstrapEvent, BootstrapServer, Operation, Plan,
};
use softsim_lab_simulators::coap_server::CoapServer;
use softsim_lab_simulators::dtls_server::DtlsServer;
use softsim_lab_simulators::management_server::{ManagementEvent, ManagementServer, RequestError};
use softsim_lab_simulators::pki::Authority;
use softsim_lwm2m::{ContentFormat, Path, codec};
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(30);

struct Lab {
    runtime: Runtime,
    authority: Authority,
}

impl Lab {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let authority = Authority::new("lab").unwrap();
        Self { runtime, authority }
    }

    fn coap(&self) -> CoapServer {
        let credentials = self.authority.server("server").unwrap();
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let bound = DtlsServer::bind(anywhere, &credentials, self.authority.certificate());
        CoapServer::new(self.runtime.block_on(bound).unwrap())
    }

    fn bootstrap_server(&self) -> BootstrapServer {
        BootstrapServer::start(self.runtime.handle(), self.coap()).unwrap()
    }

    fn management_server(&self) -> ManagementServer {
        ManagementServer::start(self.runtime.handle(), self.coap()).unwrap()
    }

    fn device(&self, server: std::net::SocketAddr) -> Device {
        Device::connect(server, &self.authority.client("device-1").unwrap())
    }
}

fn account() -> Account {
    Account {
        uri: "coaps://127.0.0.1:5684".into(),
        certificate: b"certificate".to_vec(),
        ssid: 123,
        lifetime: 300,
    }
}

fn bootstrap_request(endpoint: &str) -> Request {
    Request::new(Method::Post, ["bs"])
        .query(format!("ep={endpoint}"))
        .query("pct=112")
}

#[test]
fn a_device_is_provisioned_in_the_order_of_its_plan() {
    for format in [ContentFormat::Tlv, ContentFormat::SenmlCbor] {
        let lab = Lab::new();
        let server = lab.bootstrap_server();
        let package = vec![0x5a; 3000];
        let plan = Plan::new(format, &account(), Some(&package)).unwrap();
        server.set_plan("device-1", plan);
        let mut device = lab.device(server.address());
        assert_eq!(
            device.ask(bootstrap_request("device-1")).code,
            Code::CHANGED
        );
        let asked: Vec<_> = (0..7).map(|_| device.asked(success)).collect();
        let shown: Vec<_> = (asked.iter())
            .map(|request| format!("{:?} /{}", request.method, request.path.join("/")))
            .collect();
        let order = "Get / Delete /0 Delete /1 Put /0/1 Put /1/0 Put /26241/0 Post /bs";
        assert_eq!(shown.join(" "), order);
        assert_eq!(asked[0].accept, Some(40));
        let decode = |object, request: &Request| {
            let path = Path::from_segments(&request.path).unwrap();
            let got = ContentFormat::from_id(request.content_format.unwrap()).unwrap();
            assert_eq!(got, format);
            let mut instances = codec::decode(got, object, path, &request.payload).unwrap();
            instances.remove(&path.instance().unwrap()).unwrap()
        };
        let security = decode(&codec::SECURITY, &asked[3]);
        assert_eq!(security.text(0), Some("coaps://127.0.0.1:5684"));
        assert_eq!(security.boolean(1), Some(false));
        assert_eq!(security.integer(2), Some(2));
        assert_eq!(security.opaque(4), Some(&b"certificate"[..]));
        let account = decode(&codec::SERVER, &asked[4]);
        assert_eq!(
            (account.integer(0), account.integer(1)),
            (Some(123), Some(300))
        );
        let sim = decode(&codec::SIM, &asked[5]);
        assert_eq!(sim.opaque(3), Some(package.as_slice()));
        let finished = BootstrapEvent::Finished {
            endpoint: "device-1".into(),
        };
        assert!(
            server
                .journal()
                .wait_for(PATIENCE, |event| *event == finished)
                .is_some()
        );
    }
}

#[test]
fn an_endpoint_name_that_is_not_the_certificates_is_rejected() {
    let lab = Lab::new();
    let server = lab.bootstrap_server();
    let plan = Plan::new(ContentFormat::Tlv, &account(), None).unwrap();
    server.set_plan("device-1", plan.clone());
    server.set_plan("device-2", plan);
    let mut device = lab.device(server.address());
    for endpoint in ["device-2", "device-11", ""] {
        assert_eq!(
            device.ask(bootstrap_request(endpoint)).code,
            Code::BAD_REQUEST
        );
    }
    assert_eq!(
        device.ask(Request::new(Method::Post, ["bs"])).code,
        Code::BAD_REQUEST
    );
    assert!(
        !(server.journal().events().iter())
            .any(|event| matches!(event, BootstrapEvent::Requested { .. }))
    );
}

#[test]
fn a_device_that_refuses_a_write_is_not_finished_and_its_session_is_closed() {
    let lab = Lab::new();
    let server = lab.bootstrap_server();
    let plan = Plan::new(ContentFormat::Tlv, &account(), Some(b"package")).unwrap();
    server.set_plan("device-1", plan);
    let mut device = lab.device(server.address());
    assert_eq!(
        device.ask(bootstrap_request("device-1")).code,
        Code::CHANGED
    );
    for _ in 0..5 {
        device.asked(success);
    }
    let refused = device.asked(|_| Response::new(Code::BAD_REQUEST));
    assert_eq!(refused.path, ["26241", "0"]);
    device.wait_for_close();
    let failed = (server.journal()).wait_for(PATIENCE, |event| {
        matches!(event, BootstrapEvent::Failed { .. })
    });
    let Some(BootstrapEvent::Failed {
        operation, reason, ..
    }) = failed
    else {
        panic!("expected a failure");
    };
    assert!(matches!(
        operation,
        Operation::Write {
            path: Path::Instance(26241, 0),
            ..
        }
    ));
    assert_eq!(reason, "the device answered 4.00");
}

fn registration() -> Request {
    Request::new(Method::Post, ["rd"])
        .query("ep=device-1")
        .query("lt=300")
        .query("b=U")
        .body(40, "</>;ct=112,</26241/0>")
}

#[test]
fn a_registration_is_made_updated_and_ended_at_its_location() {
    let lab = Lab::new();
    let server = lab.management_server();
    let mut device = lab.device(server.address());
    let response = device.ask(registration().query("lwm2m=1.1"));
    assert_eq!(response.code, Code::CREATED);
    let [rd, location] = response.location.as_slice() else {
        panic!(
            "expected a location of two segments, got {:?}",
            response.location
        );
    };
    assert_eq!(rd, "rd");
    let place = || [rd.clone(), location.clone()];
    assert_eq!(
        device.ask(Request::new(Method::Post, place())).code,
        Code::CHANGED
    );
    assert_eq!(
        device.ask(Request::new(Method::Delete, place())).code,
        Code::DELETED
    );
    assert_eq!(
        device.ask(Request::new(Method::Post, place())).code,
        Code::NOT_FOUND
    );
    let endpoint = || "device-1".to_owned();
    assert_eq!(
        server.journal().events(),
        [
            ManagementEvent::Registered {
                endpoint: endpoint(),
                location: format!("/rd/{location}"),
                lifetime: Some("300".into()),
                objects: "</>;ct=112,</26241/0>".into(),
            },
            ManagementEvent::Updated {
                endpoint: endpoint()
            },
            ManagementEvent::Deregistered {
                endpoint: endpoint()
            },
            ManagementEvent::Rejected {
                identity: endpoint(),
                code: Code::NOT_FOUND
            },
        ]
    );
}

#[test]
fn version_1_2_and_a_foreign_endpoint_name_do_not_register() {
    let lab = Lab::new();
    let server = lab.management_server();
    let mut device = lab.device(server.address());
    let newer = device.ask(registration().query("lwm2m=1.2"));
    assert_eq!(newer.code, Code::PRECONDITION_FAILED);
    let mut foreign = registration().query("lwm2m=1.1");
    foreign.query[0] = "ep=device-2".into();
    assert_eq!(device.ask(foreign).code, Code::BAD_REQUEST);
    let asked = lab
        .runtime
        .block_on(server.read("device-2", Path::Object(3), ContentFormat::Tlv));
    assert_eq!(asked, Err(RequestError::Unknown));
}

#[test]
fn a_registered_device_is_read_and_its_notifications_are_written_down() {
    let lab = Lab::new();
    let server = lab.management_server();
    let mut device = lab.device(server.address());
    assert_eq!(
        device.ask(registration().query("lwm2m=1.1")).code,
        Code::CREATED
    );
    let path = Path::Resource(26241, 0, 0);
    let content = |text: &str| Response::content(0, text);
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let asked = server.read("device-1", path, ContentFormat::Text);
            lab.runtime.block_on(asked)
        });
        let request = device.asked(|_| content("0"));
        assert_eq!(
            (request.path.join("/").as_str(), request.accept),
            ("26241/0/0", Some(0))
        );
        assert_eq!(read.join().unwrap().unwrap().payload, b"0");
        let observe = scope.spawn(|| {
            let asked = server.observe("device-1", path, ContentFormat::Text);
            lab.runtime.block_on(asked)
        });
        device.observed(content("3"), content("4"));
        let first = observe.join().unwrap().unwrap();
        assert!(first.observe.is_some());
        assert_eq!(first.payload, b"3");
    });
    let notified = (server.journal()).wait_for(PATIENCE, |event| {
        matches!(event, ManagementEvent::Notified { .. })
    });
    let Some(ManagementEvent::Notified {
        endpoint,
        path: of,
        response,
    }) = notified
    else {
        panic!("expected a notification");
    };
    assert_eq!((endpoint.as_str(), of), ("device-1", path));
    assert_eq!(response.payload, b"4");
}
