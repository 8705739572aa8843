//! The kinds that are served, and what the API server does differently with each.

/// Says how one kind is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Empty for the oldest.
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub name: &'static str,
    pub is_namespaced: bool,
    /// What is in `status` is written by the subresource alone.
    pub has_status: bool,
    /// Changes of what is wanted are counted.
    pub has_generation: bool,
    /// It is of a CRD: no code of Kubernetes' own knows it.
    pub is_custom: bool,
    /// A PUT must say what it replaces.
    pub needs_version: bool,
    /// A PUT of what is not there creates it.
    pub is_created_by_update: bool,
    /// Lists whose entries are known by one of their fields, or by themselves where that is empty.
    pub keyed: &'static [(&'static str, &'static str)],
}

const COMMON: Kind = Kind {
    group: "",
    version: "v1",
    plural: "",
    name: "",
    is_namespaced: true,
    has_status: false,
    has_generation: false,
    is_custom: false,
    needs_version: false,
    is_created_by_update: false,
    keyed: &[],
};

/// All of them.
pub static KINDS: [Kind; 13] = [
    Kind {
        plural: "pods",
        name: "Pod",
        has_status: true,
        has_generation: true,
        keyed: &[
            ("spec.containers", "name"),
            ("spec.initContainers", "name"),
            ("status.conditions", "type"),
            ("status.podIPs", "ip"),
        ],
        ..COMMON
    },
    Kind {
        plural: "services",
        name: "Service",
        has_status: true,
        keyed: &[("spec.ports", "port")],
        ..COMMON
    },
    Kind {
        plural: "nodes",
        name: "Node",
        is_namespaced: false,
        has_status: true,
        keyed: &[("status.conditions", "type"), ("status.addresses", "type"), ("spec.podCIDRs", "")],
        ..COMMON
    },
    Kind { plural: "namespaces", name: "Namespace", is_namespaced: false, has_status: true, ..COMMON },
    Kind { plural: "secrets", name: "Secret", ..COMMON },
    Kind { plural: "configmaps", name: "ConfigMap", ..COMMON },
    Kind { plural: "serviceaccounts", name: "ServiceAccount", ..COMMON },
    Kind {
        group: "discovery.k8s.io",
        plural: "endpointslices",
        name: "EndpointSlice",
        has_generation: true,
        ..COMMON
    },
    Kind {
        group: "coordination.k8s.io",
        plural: "leases",
        name: "Lease",
        needs_version: true,
        is_created_by_update: true,
        ..COMMON
    },
    Kind { group: "events.k8s.io", plural: "events", name: "Event", is_created_by_update: true, ..COMMON },
    Kind {
        group: "rollcall.dev",
        version: "v1alpha1",
        plural: "serviceregistrations",
        name: "ServiceRegistration",
        has_status: true,
        has_generation: true,
        is_custom: true,
        needs_version: true,
        keyed: &[
            ("spec.ports", "name"),
            ("spec.tags", ""),
            ("spec.target.addresses", "address"),
            ("spec.visibility.namespaces", ""),
            ("status.conditions", "type"),
            ("status.instances", "id"),
        ],
        ..COMMON
    },
    Kind {
        group: "admissionregistration.k8s.io",
        plural: "mutatingwebhookconfigurations",
        name: "MutatingWebhookConfiguration",
        is_namespaced: false,
        has_generation: true,
        needs_version: true,
        keyed: &[("webhooks", "name")],
        ..COMMON
    },
    Kind {
        group: "authentication.k8s.io",
        plural: "tokenreviews",
        name: "TokenReview",
        is_namespaced: false,
        ..COMMON
    },
];

// === impl Kind ===

impl Kind {
    pub(crate) fn at(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| (kind.group, kind.version, kind.plural) == (group, version, plural))
    }

    /// The kind of this plural name.
    ///
    /// # Panics
    ///
    /// Where none of [`KINDS`] is called so.
    pub fn of(plural: &str) -> &'static Self {
        KINDS.iter().find(|kind| kind.plural == plural).unwrap_or_else(|| panic!("{plural} is not served"))
    }

    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// As messages name it: `leases.coordination.k8s.io`.
    pub(crate) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// How the entries of the list at this place are known: by a field, or by themselves where that is empty.
    pub(crate) fn key_of(&self, place: &str) -> Option<&'static str> {
        match place {
            "metadata.ownerReferences" => Some("uid"),
            "metadata.finalizers" => Some(""),
            _ => self.keyed.iter().find(|(list, _)| *list == place).map(|(_, field)| *field),
        }
    }
}
