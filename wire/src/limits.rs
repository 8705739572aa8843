//! Every bound of the wire, each with its reason. Both ends hold them; `docs/protocol.md` lists them.

use std::time::Duration;

/// Bytes of one frame, its newline left out. Room for an instance with all its metadata, and small enough that a
/// hostile peer costs a quarter of a megabyte and no more.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a frame that its head may take beside the instances: two names, numbers and punctuation.
pub const FRAME_HEAD_BYTES_MAX: usize = 1_024;

/// Services that one session may subscribe to. A `hello` that names all of them with their hashes is 150 KiB, and
/// so fits into one frame.
pub const SUBSCRIPTIONS_MAX: usize = 1_024;

/// Registrations that one app may have at run time: a port of its own for each is more than any app was seen to have.
pub const REGISTRATIONS_MAX: usize = 16;

/// Bytes of the name of a controller's process: a `hello` repeats it beside all that is held.
pub const EPOCH_BYTES_MAX: usize = 128;

/// Each end sends a frame at least this often, so that silence means something.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);

/// A peer that was silent for this long is gone: three heartbeats lost.
pub const SILENCE_MAX: Duration = Duration::from_secs(9);

/// Bytes of a bearer token: a projected service-account token is about 1.2 KiB.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
