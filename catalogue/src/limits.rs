//! Every bound of the domain, each with its reason.

/// Ports of one instance: the contract's limit of a registration, held for the union of several as well.
pub const PORTS_MAX: usize = 32;

/// Bytes of one version: semver sets no bound, and a version stands in each instance of every answer.
pub const VERSION_BYTES_MAX: usize = 128;

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
