//! DNS for the zone `rollcall.`, on localhost: what [`rollcall_dns`] needs to answer, from the store.

mod forward;
