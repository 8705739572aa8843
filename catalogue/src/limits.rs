//! Every bound of the domain, each with its reason.

/// Ports of one instance: the contract's limit of a registration, held for the union of several as well.
pub const PORTS_MAX: usize = 32;

/// Bytes of one version: semver sets no bound, and a version stands in each instance of every answer.
pub const VERSION_BYTES_MAX: usize = 128;

/// Bytes of one requirement on versions: a few comparisons; it is parsed for each lookup that has one.
pub const REQUIREMENT_BYTES_MAX: usize = 256;

/// Characters of a port's appProtocol: as a qualified name of Kubernetes, less its longest domains.
pub const APP_PROTOCOL_CHARS_MAX: usize = 128;

/// Requirements of one selector, and values of one requirement: people write a handful, and each is compared with
/// each pod of the namespace.
pub const LABELS_MAX: usize = 32;

/// Characters of a label's name and of its value, as Kubernetes has it; longer ones are on no pod.
pub const LABEL_WORD_CHARS_MAX: usize = 63;

/// Characters of the domain before a label's name, as Kubernetes has it: those of a DNS name.
pub const LABEL_DOMAIN_CHARS_MAX: usize = 253;

/// Characters of a pod's name, as Kubernetes has it: those of a DNS name.
pub const POD_NAME_CHARS_MAX: usize = 253;

/// Characters of a pod's UID: Kubernetes writes 36, and promises no form.
pub const POD_UID_CHARS_MAX: usize = 128;

/// Addresses of one registration: the contract's limit; each of them is probed.
pub const ADDRESSES_MAX: usize = 256;

/// Namespaces that one registration may name: the contract's limit.
pub const VISIBLE_NAMESPACES_MAX: usize = 64;

/// The range of a probe's interval and timeout: ten a second is as often as a small app can bear; after five
/// minutes nobody is waiting any more.
pub const PROBE_MILLISECONDS: std::ops::RangeInclusive<u32> = 100..=300_000;

/// Answers in a row that a probe may ask for: beyond ten, the interval is what should be longer.
pub const PROBE_THRESHOLD_MAX: u8 = 10;

/// Characters of a probed path, as of one metadata value.
pub const PROBE_PATH_CHARS_MAX: usize = 1_024;

/// Characters of the name of a probed gRPC service: as of a DNS name, which such names look like.
pub const PROBE_SERVICE_CHARS_MAX: usize = 253;

/// Seconds of an app's own heartbeat: an app that speaks once an hour is no witness of its own health.
pub const HEARTBEAT_SECONDS_MAX: u32 = 3_600;

/// Tags of one instance: the contract's limit of a registration, held for the union as well.
pub const TAGS_MAX: usize = 64;

/// Characters of one tag: as a Kubernetes label value, which is where many tags come from.
pub const TAG_CHARS_MAX: usize = 63;

/// Metadata keys of one instance: the contract's limit of a registration, held for the union as well.
pub const METADATA_KEYS_MAX: usize = 64;

/// Characters of one metadata key.
pub const METADATA_KEY_CHARS_MAX: usize = 128;

/// Characters of one metadata value.
pub const METADATA_VALUE_CHARS_MAX: usize = 1_024;

/// Bytes of an instance's metadata once written as JSON. 64 full entries of plain text are 74 KiB; an instance
/// must fit into one session frame of 256 KiB together with its other fields, however much of it is escaped.
pub const METADATA_JSON_BYTES_MAX: usize = 128 * 1024;

/// The heaviest weight: a thousandth is a fine enough share of the traffic.
pub const WEIGHT_MAX: u16 = 1_000;

/// The weight of an instance that says nothing: room to go down as well as up.
pub const WEIGHT_DEFAULT: u16 = 100;

/// Instances of one service: beyond it the last in order are left out, so that one selector that matches a whole
/// cluster cannot grow the answers of every subscriber without end.
pub const INSTANCES_MAX: usize = 5_000;

/// MiB of memory that a sidecar goes by: with less than 24 nothing is left for services, and no catalogue that is bounded by
/// these limits needs more than 4096.
pub const SIDECAR_MEMORY_MIB: std::ops::RangeInclusive<u32> = 24..=4_096;
