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

/// Revisions that a controller may tell are below this: they are milliseconds or a little more, of which there will be so many
/// in 250,000 years. Whoever holds what was told counts on from it, and may do so 2^40 times before numbers come to 2^53,
/// which nobody reads any more.
pub const REVISION_END: u64 = (1 << 53) - (1 << 40);

/// Bytes of the name of a controller's process: a `hello` repeats it beside all that is held.
pub const EPOCH_BYTES_MAX: usize = 128;

/// Each end sends a frame at least this often, so that silence means something.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);

/// A sidecar answers a heartbeat by its own, unless it said one so short a time ago: both were due at once.
pub const ANSWERED_WITHIN: Duration = Duration::from_millis(250);

/// It answers other frames so as well, but no more often than this: they may come by the hundred.
pub const ANSWERED_OTHERWISE_WITHIN: Duration = Duration::from_secs(1);

/// A peer that was silent for this long is gone: three heartbeats lost.
pub const SILENCE_MAX: Duration = Duration::from_secs(9);

/// Where a sidecar knows of another replica, it waits for this one no longer: a heartbeat lost, and half of the next. It
/// loses nothing by going elsewhere; and since it answers each heartbeat by one of its own, it is there before anybody doubts
/// it.
pub const SILENCE_WITH_OTHERS_MAX: Duration = Duration::from_millis(4_500);

/// Replicas whose addresses a sidecar remembers: far more than anybody runs.
pub const REPLICAS_MAX: usize = 16;

/// What a replica that has read less of Kubernetes does not know of stays shown for so long. Watches that are late are so
/// by seconds; who is behind for longer reads another history, as that of a backup.
pub const BEHIND_MAX: Duration = Duration::from_secs(600);

/// Bytes of the authorities that are told, as PEM: one of P-256 takes 700, and while one replaces another there are two.
pub const CA_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a bearer token: a projected service-account token is about 1.2 KiB.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// An open session, or link, has one token in this time looked at: each may cost a review by the API server, and the kubelet
/// renews tokens once in tens of minutes.
pub const TOKEN_EVERY: Duration = Duration::from_secs(60);

/// Whoever shows one waits for so long before the next: what counts is when it comes.
pub const TOKEN_SHOWN_EVERY: Duration = Duration::from_secs(75);

/// A sidecar looks this often how its app uses services, and tells it where something is new: people read it minutes later.
pub const USAGE_EVERY: Duration = Duration::from_secs(10);

/// Services of one `usage`: each takes 312 bytes at most, so that these fit with room. A sidecar that has news of more says
/// several.
pub const USAGE_SERVICES_MAX: usize = 512;

/// `hello` comes within this, or never: it is the first thing that a peer has to say.
pub const HELLO_MAX: Duration = Duration::from_secs(5);

/// Within this, a peer takes a frame and acknowledges a `synced`, unless it is stuck. Shorter than a person waits, and
/// longer than the worst pause of a starved container.
pub const SLOW_MAX: Duration = Duration::from_secs(30);

/// Within this, a peer takes the `goaway`; who has stopped reading never will.
pub const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// So late a clock may be asked; later, the process itself stood still, and says nothing of a peer's silence.
pub const LATENESS_MAX: Duration = Duration::from_secs(1);

/// Rounds of the list of services are so far apart: nobody waits for it, and everything that changes is in it.
pub const SUMMARY_EVERY: Duration = Duration::from_secs(1);

/// All is told again so often at most, however often a peer says that it holds something else.
pub const RESYNC_EVERY: Duration = Duration::from_secs(60);

/// `synced` frames without their `ack`: at 20 changes a second, a round trip of three seconds. Beyond, nothing more is
/// told until the peer has caught up.
pub const SYNCS_MAX: usize = 64;

/// Answers that wait to be taken: a peer asks for no more than a few things at a time.
pub const ANSWERS_MAX: usize = 64;

/// An `ack` that nobody waits for is said so much later at most: as often as frames are answered by a heartbeat, with which it
/// goes then. A drain that finds everybody told before, and an `ack` of that under way, waits so much longer.
pub const ACK_LATER: Duration = ANSWERED_OTHERWISE_WITHIN;

/// So many `synced` wait for one `ack` at most: an eighth of what may be outstanding, so that as many may be under way as before,
/// but for those.
pub const ACKS_LATER_MAX: usize = SYNCS_MAX / 8;

/// So long after the answer to a question each `ack` goes at once: a session's first state has a turn, for which others wait
/// until everything is acknowledged.
pub const ACK_AT_ONCE_FOR: Duration = Duration::from_secs(1);

/// So long after its beginning a session is told how far the replica has come wherever a heartbeat is due, and later only
/// with what it is told anyway: a client that was told more elsewhere waits for that. Without a change in the cluster a
/// replica hears of its place once a minute.
pub const POSITIONS_FOR: Duration = Duration::from_secs(180);

/// Registrations of one app: each of them is an instance of some service, and a pod has a handful of ports.
pub const REGISTRATIONS_MAX: usize = 16;

/// Bytes of all registrations of one app, as JSON with a comma after each: 16 plain ones are a tenth of it. The controller
/// holds them and keeps them as objects, and whoever is in any pod may send them.
pub const REGISTRATIONS_BYTES_MAX: usize = 128 * 1024;

/// Words on the health of one pod that are held: of the services that it may register itself, and of as many again that
/// others have registered it for, with room.
pub const HEALTH_WORDS_MAX: usize = 64;

/// Questions of one session that have no answer yet: people ask them, one at a time.
pub const ASKS_MAX: usize = 16;

/// Frames of one answer: 4 MiB, of 5,000 instances at 800 bytes each. What is more is left out.
pub const TOLD_FRAMES_MAX: usize = 16;

/// Bytes of an incarnation's name: of any UUID, and twice that.
pub const INCARNATION_BYTES_MAX: usize = 72;

/// How long a `drain` waits that does not say so: what Kubernetes' default grace period of 30 s leaves room for.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

/// How long a `drain` may wait: beyond it, those who are late will not come.
pub const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Bytes of encoded frames that are kept for other sessions: all services of 20,000 instances at 400 bytes each are
/// 8 MB, so that a storm of reconnects encodes each of them once.
pub const ENCODED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A replica tells the others how it stands this often, so that its silence means something.
pub const PEER_BEAT_EVERY: Duration = Duration::from_secs(1);

/// A replica that was silent for so long is not heard any more: three beats lost. Less than a sidecar's silence, so that the
/// others know of its sessions what they must know before the first of them is judged.
pub const PEER_SILENCE_MAX: Duration = Duration::from_secs(3);

/// Within this, a replica says `hello`: it has nothing to wait for.
pub const PEER_HELLO_MAX: Duration = Duration::from_secs(3);

/// Within this, a replica takes a beat. Whoever is told nothing for that long has long ended the link; this ends it where that
/// word is lost too.
pub const PEER_SLOW_MAX: Duration = Duration::from_secs(6);

/// Words beside the notes that wait on one link: a token of each of the 4,096 sessions that a replica may have, all reviewed
/// within one round trip, and as many again of everything else. A word is some 200 bytes.
pub const PEER_WORDS_MAX: usize = 8 * 1_024;

/// Notes of pods that a link remembers beside those that it must, while this replica does not know the pods.
pub const PEER_STRANGERS_MAX: usize = 1_024;

/// Kinds that a position may name: a controller watches six, and newer ones a few more.
pub const KINDS_MAX: usize = 32;

/// Replicas that one of them hears: three are usual, and each of them holds everything.
pub const HEARS_MAX: usize = 64;

/// Bytes of a replica's name: of any pod's.
pub const REPLICA_BYTES_MAX: usize = 253;

/// Bytes of a pod's UID: of any UUID, and of the hashes that a kubelet gives to pods of its own, with room.
pub const POD_UID_BYTES_MAX: usize = 128;

/// Answers of addresses outside the cluster in one frame: each is a name of 127 bytes, an address and two words, so that
/// these fit.
pub const OUTSIDE_WORDS_MAX: usize = 1_024;

/// As a number, for clocks that are one.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
