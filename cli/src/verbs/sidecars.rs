//! `rollcall sidecars`: which pods have one, of which image, and whether the controller hears it.

use std::collections::BTreeMap;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use rollcall_injection::SIDECAR;
use serde::Deserialize;

use crate::{
    check::facts::Many,
    failure::Failure,
    options::{Where, WideForm},
    print,
    print::{Cell, Paint, Table, Tone, ago},
    print_body,
    reach::{Seen, Source, api_server, body, decoded, unreachable},
};

/// Holds what `rollcall sidecars` is told.
#[derive(Debug, Args)]
pub(crate) struct Sidecars {
    /// Those of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,

    /// `wide` shows besides the image of each, and its node.
    #[arg(long, short, value_name = "FORM")]
    output: Option<WideForm>,

    #[command(flatten)]
    place: Where,
}

/// Holds how a pod's session stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Heard {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// A word of docs/liveness.md.
    pub(crate) session: String,
    /// Since it was opened, where that was at the replica that was asked.
    #[serde(default)]
    pub(crate) since_seconds: Option<u64>,
}

/// Holds a pod that has a sidecar.
#[derive(Debug, Clone, PartialEq)]
struct Injected {
    namespace: String,
    pod: String,
    image: String,
    node: String,
}

// === impl Heard ===

impl Heard {
    /// Whether some replica hears it.
    pub(crate) fn is_heard(&self) -> bool {
        matches!(self.session.as_str(), "live" | "heard-by-peer")
    }
}

// === impl Sidecars ===

impl Sidecars {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let source = Source::new(&self.place).await?;
        let path = match self.all_namespaces {
            true => "/v1/sessions".to_owned(),
            false => format!("/v1/sessions?namespace={}", source.namespace()),
        };
        let whose = match self.all_namespaces {
            true => "in any namespace".to_owned(),
            false => format!("in the namespace {}; -A shows those of all", source.namespace()),
        };
        let nothing = || Failure::Nothing(format!("no pod has a sidecar {whose}"));
        if self.output == Some(WideForm::Json) {
            let answer = source.read(&path).await?;
            let heard: Many<Heard> = decoded(&answer)?;
            print_body(body(&answer)?)?;
            return if heard.pods.is_empty() { Err(nothing()) } else { Ok(()) };
        }
        let (heard, pods) = self.told(&source, &path).await?;
        if pods.is_empty() {
            return Err(nothing());
        }
        let is_wide = self.output == Some(WideForm::Wide);
        let table = table(&pods, heard.as_ref(), self.all_namespaces, is_wide);
        print(table.text(Paint::of_stdout()).as_bytes())
    }

    /// Who is heard, where that is told, and the pods.
    async fn told(
        &self,
        source: &Source,
        path: &str,
    ) -> Result<(Option<Many<Heard>>, Vec<Injected>), Failure> {
        let Some(reach) = source.cluster() else {
            let heard: Many<Heard> = decoded(&source.read(path).await?)?;
            // Without Kubernetes nobody but the registry itself knows of a pod.
            let pods = heard.pods.iter().map(Injected::of).collect();
            return Ok((Some(heard), pods));
        };
        let pods: Api<Pod> = match self.all_namespaces {
            true => Api::all(reach.client.clone()),
            false => Api::namespaced(reach.client.clone(), reach.namespace.as_str()),
        };
        let (answer, pods) = tokio::join!(source.read(path), reach.all(&pods, None, injected));
        let answer = answer?;
        // An older controller does not tell: images are told all the same.
        let heard: Option<Many<Heard>> = (answer.status != 404).then(|| decoded(&answer)).transpose()?;
        match pods {
            Seen::Here(listed) => Ok((heard, listed.items)),
            Seen::Missing => Ok((heard, Vec::new())),
            Seen::Forbidden(why) => Err(unreachable("API server", &why, "you need the right to list pods")),
            Seen::Unknown(why) => Err(api_server(&why)),
        }
    }
}

// === impl Injected ===

impl Injected {
    fn of(heard: &Heard) -> Self {
        let Heard { namespace, pod, .. } = heard.clone();
        Self { namespace, pod, image: String::new(), node: String::new() }
    }
}

fn injected(pod: Pod) -> Option<Injected> {
    let spec = pod.spec?;
    let image = spec.init_containers?.into_iter().find(|container| container.name == SIDECAR)?.image;
    Some(Injected {
        namespace: pod.metadata.namespace?,
        pod: pod.metadata.name?,
        image: image.unwrap_or_default(),
        node: spec.node_name.unwrap_or_default(),
    })
}

/// The tag of an image, or the beginning of its digest.
pub(crate) fn tag(image: &str) -> &str {
    if image.is_empty() {
        return "";
    }
    if let Some((_, digest)) = image.rsplit_once('@') {
        return digest.get(..19).unwrap_or(digest);
    }
    match image.rsplit_once('/').map_or(image, |(_, last)| last).split_once(':') {
        Some((_, tag)) => tag,
        None => "latest",
    }
}

fn table(pods: &[Injected], heard: Option<&Many<Heard>>, all: bool, is_wide: bool) -> Table {
    let sessions: BTreeMap<(&str, &str), &Heard> = heard
        .into_iter()
        .flat_map(|heard| &heard.pods)
        .map(|one| ((one.namespace.as_str(), one.pod.as_str()), one))
        .collect();
    let heads = [all.then_some("NAMESPACE"), Some("POD"), Some("VERSION"), Some("SESSION"), Some("SINCE")];
    let wide = ["IMAGE", "NODE"].into_iter().filter(|_| is_wide);
    let mut table = Table::new(heads.into_iter().flatten().chain(wide));
    for pod in pods {
        let session = sessions.get(&(pod.namespace.as_str(), pod.pod.as_str()));
        let mut cells: Vec<Cell> = Vec::new();
        cells.extend(all.then(|| pod.namespace.as_str().into()));
        cells.extend([pod.pod.as_str().into(), tag(&pod.image).into()]);
        cells.push(match session {
            Some(one) if one.is_heard() => Cell::toned(Tone::Good, one.session.as_str()),
            Some(one) => Cell::toned(Tone::Bad, one.session.as_str()),
            None => "".into(),
        });
        cells.push(session.and_then(|one| one.since_seconds).map(ago).unwrap_or_default().into());
        if is_wide {
            cells.extend([pod.image.as_str().into(), pod.node.as_str().into()]);
        }
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, image: &str) -> Injected {
        Injected { namespace: "shop".into(), pod: name.into(), image: image.into(), node: "n1".into() }
    }

    #[test]
    fn without_a_cluster_who_is_heard_is_all_that_is_known() {
        let heard: Many<Heard> = serde_json::from_str(
            r#"{"pods":[{"namespace":"default","pod":"127-0-0-1","session":"live","sinceSeconds":3}],"total":1}"#,
        )
        .unwrap();
        let pods: Vec<_> = heard.pods.iter().map(Injected::of).collect();
        assert_eq!(
            table(&pods, Some(&heard), false, false).text(Paint::new(false)),
            "POD         VERSION   SESSION   SINCE\n127-0-0-1   -         live      3s\n"
        );
    }

    #[test]
    fn sidecars_are_told_with_who_hears_them() {
        let pods = [
            pod("orders-1", "rollcall.dev/sidecar:0.1.0"),
            pod("web-1", "registry:5000/sidecar"),
            pod("web-2", "rollcall.dev/sidecar@sha256:0123456789abcdef0123"),
        ];
        let heard: Many<Heard> = serde_json::from_str(
            r#"{"pods":[{"namespace":"shop","pod":"orders-1","session":"live","sinceSeconds":130},
                {"namespace":"shop","pod":"web-1","session":"never-came","sinceSeconds":null}],"total":2}"#,
        )
        .unwrap();
        assert_eq!(
            table(&pods, Some(&heard), false, false).text(Paint::new(false)),
            "POD        VERSION               SESSION      SINCE\n\
             orders-1   0.1.0                 live         2m\n\
             web-1      latest                never-came   -\n\
             web-2      sha256:0123456789ab   -            -\n"
        );
        let wide = table(&pods[..1], None, true, true).text(Paint::new(false));
        assert_eq!(
            wide,
            "NAMESPACE   POD        VERSION   SESSION   SINCE   IMAGE                        NODE\n\
             shop        orders-1   0.1.0     -         -       rollcall.dev/sidecar:0.1.0   n1\n"
        );
    }
}
