//! What the model promises, held against a real API server: the same cases on both.
//!
//! On the model they run always. With the feature `cluster` they run on the cluster of `KUBECONFIG` as well, as
//! `cargo xtask test` does it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod applies;
mod deletes;
mod place;
mod reads;
mod tokens;
mod watches;
mod writes;

/// Makes a test of each case on a model of its own, and one of all of them on a cluster.
macro_rules! cases {
    ($($room:ident: $($case:ident)*;)*) => {
        mod on_the_model {
            $($(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    let client = rollcall_apiserver::ApiServer::default().plain_client();
                    crate::$room::$case(crate::place::Place::new(client, "conformance").await).await;
                }
            )*)*
        }

        #[cfg(feature = "cluster")]
        fn all() -> Vec<on_a_cluster::Case> {
            vec![$($(on_a_cluster::Case::new(stringify!($case), $room::$case),)*)*]
        }
    };
}

cases! {
    writes:
        what_is_created_has_what_the_server_gives_it
        names_are_made_where_a_stem_is_given
        who_replaces_what_has_changed_is_told_so
        a_lease_is_written_as_we_write_it
        patches_do_what_they_say
        a_webhook_is_patched_by_the_name_of_its_entry
        a_status_is_its_own_and_counts_no_generation
        an_event_is_made_and_counted_on;
    applies:
        what_one_applies_is_his_until_somebody_forces_it
        other_writes_take_over_what_they_change
        a_status_that_is_applied_by_force_is_all_that_is_ours;
    deletes:
        only_what_was_meant_is_deleted
        a_finalizer_keeps_what_is_deleted
        a_pod_has_its_grace_once_it_has_a_node
        what_is_owned_goes_with_the_last_owner
        a_namespace_that_ends_takes_all_and_nothing_more;
    reads:
        pages_are_of_one_revision
        a_list_as_it_was
        what_has_not_happened_cannot_be_asked_for
        nothing_but_the_metadata
        fields_and_labels_select;
    watches:
        everything_is_told_in_order
        without_a_revision_all_that_is_there_comes_first
        a_call_ends_in_time_and_says_before_how_far_it_is
        who_asks_for_no_bookmarks_gets_none
        what_is_forgotten_is_an_error_in_the_stream
        a_watch_from_the_future_is_silent
        only_what_is_asked_for_is_told;
    tokens:
        a_token_is_good_for_its_audience_while_its_pod_is_there;
}

#[cfg(feature = "cluster")]
mod on_a_cluster;
