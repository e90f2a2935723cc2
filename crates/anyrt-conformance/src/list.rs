//! The one list of all cases.

/// Calls the macro `$callback` with the list of all cases.
///
/// For each: whether it is a `program` for a run or gets the `bare` runtime, its name, and the
/// [obligations](crate::Obligation) that it names.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_case {
    ($($callback:tt)*) => {
        $($callback)*! {
            checkpoints {
                program ck_01_a_checkpoint_returns_and_lets_another_task_run [TasksRun];
                program ck_02_a_checkpoint_in_a_cancelled_scope_never_returns [];
                program ck_04_checkpoint_if_cancelled_yields_only_when_cancelled [];
                program ck_05_a_shielded_yield_yields_and_always_returns [];
                program ck_06_sleeping_for_no_time_is_a_full_checkpoint [];
                program ck_07_who_cancels_its_own_scope_runs_on_to_the_next_checkpoint [];
                program ck_09_waiting_for_a_set_event_still_looks_at_the_cancellation [];
                program ck_10_what_a_cancelled_scope_awaits_changes_nothing [ForeignWake];
                program ck_11_a_deadline_that_passed_while_computing_is_seen_at_the_next_checkpoint [];
                program ck_13_cancelling_a_scope_whose_task_has_finished_wakes_nobody [];
            }
            scopes {
                program cs_01_a_new_scope_is_blank [];
                program cs_02_cancelling_twice_is_cancelling_once [];
                program cs_03_a_scope_cancelled_before_entry_stops_at_its_first_checkpoint [];
                program cs_04_cancelling_a_scope_after_exit_changes_nothing [];
                program cs_05_a_cancelled_scope_without_a_checkpoint_returns_its_value [];
                program cs_06_a_cancelled_scope_is_left_at_a_checkpoint_and_the_code_after_it_runs [];
                program cs_08_a_cancellation_does_not_leak_out_of_its_scope [];
                program cs_10_a_child_cancels_the_scope_around_its_group [TasksRun];
                program cs_11_the_first_reason_stays [];
                program cs_12_the_message_names_the_task_that_cancelled [TasksRun];
                program cs_13_a_cancellation_by_a_deadline_says_so [TimerWakes, TimerNotEarly];
                program cs_14_an_error_passes_through_a_cancelled_scope [];
                program cs_15_of_cancellations_and_an_error_only_the_error_leaves [TasksRun];
                program cs_16_a_cancellation_two_groups_deep_is_left_out_and_the_nesting_kept [TasksRun];
                program cs_17_a_group_of_cancellations_only_is_absorbed [TasksRun];
                program cs_18_an_error_group_without_a_cancellation_is_not_caught [TasksRun];
                program cs_27_a_scope_that_was_left_keeps_nothing [];
                program cs_28_locals_of_a_cancelled_task_are_gone_when_the_group_returns [TasksRun];
                program rule_8_who_waits_for_a_cancellation_is_told_once_and_leaves_nothing_behind [];
                program rule_18_a_scope_is_cancelled_from_any_thread [ForeignWake];
            }
            nesting {
                program cn_01_what_follows_an_inner_scope_does_not_run_when_the_outer_is_cancelled [];
                program cn_02_the_outer_scope_catches_and_the_inner_does_not [];
                program cn_03_cancelling_the_inner_scope_leaves_the_outer_alone [];
                program cn_05_an_outer_cancel_during_the_clean_up_of_an_inner_one_goes_to_the_outer [];
                program cn_06_an_outer_cancel_during_the_clean_up_of_a_shielded_inner_one_waits [];
                program cn_08_after_a_handled_inner_timeout_the_outer_scope_still_catches_its_own [TimerWakes, TimerNotEarly];
                program cn_09_a_cancellation_reaches_groups_at_any_depth [TasksRun];
                program cn_10_cancelling_the_private_scope_of_a_child_leaves_host_and_group_alone [TasksRun];
                program rule_17_a_group_that_cancelled_itself_goes_to_the_scope_that_is_cancelled_meanwhile [TasksRun];
                program rule_15_cancelling_a_deep_tree_of_scopes_needs_no_stack [];
            }
            deadlines {
                program to_01_move_on_after_interrupts_its_body_without_an_error [TimerWakes, TimerNotEarly];
                program to_02_a_timeout_of_zero_interrupts_at_the_first_checkpoint [];
                program to_03_no_timeout_never_fires [TimerWakes];
                program to_04_fail_after_returns_the_timeout_error [TimerWakes, TimerNotEarly];
                program to_05_a_body_that_finishes_without_a_checkpoint_is_never_too_late [];
                program to_06_a_timeout_carries_its_reason [];
                program to_07_an_explicit_cancel_before_the_deadline_is_no_timeout [];
                program to_09_of_two_timeouts_the_shorter_outer_one_fires_alone [TimerWakes, TimerNotEarly];
                program to_10_of_two_timeouts_the_shorter_inner_one_fires_and_the_outer_body_goes_on [TimerWakes, TimerNotEarly];
                program to_11_a_relative_timeout_starts_when_it_is_first_polled [TimerWakes, TimerNotEarly];
                program to_13_a_deadline_moved_into_the_past_cancels_at_once [];
                program to_14_a_deadline_that_is_taken_away_does_not_fire [TimerWakes];
                program to_16_a_deadline_in_the_past_is_reported_before_entry [];
                program to_17_a_deadline_that_passes_after_exit_flips_nothing [];
                program to_18_extreme_deadlines_are_clamped [TimerWakes, TimerNotEarly];
                program to_19_the_effective_deadline_is_the_earliest_one_in_sight [];
                program to_20_a_cancelled_scope_says_so_in_place_of_a_deadline [];
                program to_21_a_child_sees_the_deadline_around_its_group [TasksRun];
                program to_23_a_timeout_around_a_group_cancels_its_children_and_is_one_error [TasksRun, TimerWakes, TimerNotEarly];
                program to_24_an_error_during_the_clean_up_wins_over_the_timeout [TasksRun, TimerWakes, TimerNotEarly];
                program to_25_what_timed_out_ran_at_least_as_long_as_it_was_given [TimerWakes, TimerNotEarly];
                program rule_10_a_deadline_moved_later_is_armed_anew [TimerWakes, TimerNotEarly];
                program rule_10_a_new_deadline_never_uncancels [];
                program rule_19_an_outer_timeout_is_not_the_timeout_of_an_inner_fail_after [];
                program rule_26_a_clean_up_with_bounded_time_ends_by_its_own_deadline [TimerWakes, TimerNotEarly];
                program rule_33_an_error_that_was_there_before_the_deadline_is_no_timeout [];
                program rule_78_a_deadline_that_has_passed_is_seen_at_a_foreign_await [];
                program rule_78_a_task_sees_at_a_foreign_await_the_deadline_around_its_group [TasksRun];
                program rule_79_of_deadlines_that_have_passed_the_earliest_answers [];
                program rule_79_an_inner_deadline_that_passed_after_its_owner_looked_goes_first [];
                program rule_79_of_deadlines_that_pass_together_the_earliest_answers [TimerWakes, TimerNotEarly];
            }
            two_phases {
                program stop_is_told_first_and_the_cancellation_comes_when_the_grace_is_over [TimerWakes, TimerNotEarly];
                program stop_ends_well_for_who_ends_within_the_grace [];
                program stop_wakes_who_waits_for_it_and_nobody_else [TasksRun, SpawnReturnsFirst];
                program stop_is_a_level_that_later_scopes_and_children_see [TasksRun];
                program stop_is_seen_by_a_future_that_is_moved_into_the_scope [];
                program stop_does_not_pass_a_shield_and_its_scope_does [];
                program stop_comes_through_when_a_shield_is_taken_down [];
                program stop_of_two_graces_the_one_that_ends_sooner_stands [TimerWakes, TimerNotEarly];
                program stop_without_a_grace_is_a_cancellation [];
                program stop_is_overridden_by_a_plain_cancel [];
                program stop_and_a_deadline_do_not_move_each_other [TimerWakes, TimerNotEarly];
                program stop_before_entry_without_a_clock_counts_from_the_first_poll [TimerWakes, TimerNotEarly];
                program stop_is_told_by_a_thread_that_no_runtime_knows [ForeignWake, TimerWakes, TimerNotEarly];
                program stop_of_a_scope_that_is_over_changes_nothing [];
                program stop_is_true_in_a_cancelled_scope_and_lets_nobody_pass [];
                program stop_reaches_the_children_of_a_borrowing_scope [TimerWakes, TimerNotEarly];
                program stop_is_heard_by_a_service_and_the_grace_ends_those_that_do_not_listen [TasksRun, TimerWakes, TimerNotEarly];
            }
            exits {
                program exit_clean_ups_run_in_reverse_order_and_are_told_the_end [];
                program exit_clean_ups_run_in_a_scope_that_is_cancelled_itself [TimerWakes, TimerNotEarly];
                program exit_clean_ups_run_before_the_scope_around_is_left [];
                program exit_clean_ups_hold_what_is_around_before_they_begin [];
                program exit_clean_ups_that_are_nested_run_innermost_first [];
                program exit_clean_ups_run_when_the_body_panics_and_the_panic_goes_on [];
                program exit_a_clean_up_that_panics_is_heard_after_the_others_have_run [];
                program exit_clean_ups_of_a_group_run_when_its_children_have_ended [TasksRun];
                program exit_clean_ups_of_a_borrowing_scope_hold_what_is_around_it [TimerWakes, TimerNotEarly];
                program exit_an_outer_cancel_while_cleaning_up_goes_to_the_outer_scope [];
                bare exit_clean_ups_of_a_scope_that_is_dropped_run_at_the_root [TasksRun];
                bare exit_a_clean_up_that_outlives_its_grace_is_cancelled_and_named [TimerWakes, TimerNotEarly];
                bare exit_a_shield_that_is_held_beyond_its_grace_is_named_once [TimerWakes, TimerNotEarly];
                program exit_a_grace_counts_in_a_cancelled_scope_too [];
                program exit_the_clean_up_of_a_finally_is_told_how_the_work_ended [];
                program exit_a_finally_of_fallible_work_is_spawned [TasksRun];
                program exit_within_and_owned_are_said_before_the_first_poll [];
            }
            run_end {
                bare end_of_a_run_goes_without_what_holds_for_ever_and_names_it [TasksRun, TimerWakes, TimerNotEarly];
                bare end_of_a_run_that_takes_long_is_told_of_with_its_tree [TasksRun, TimerWakes];
                bare end_of_a_run_in_time_is_no_error [TasksRun];
                bare end_of_a_run_tells_what_failed_beside_what_is_left [TasksRun, TimerWakes];
                bare end_of_a_run_gives_its_tasks_a_grace [TasksRun, TimerWakes, TimerNotEarly];
            }
            stories {
                program story_of_a_deadline_tells_its_time_its_place_and_whose_it_was [TasksRun, TimerWakes, TimerNotEarly];
                program story_of_a_deadline_that_another_task_notices_tells_whose_it_was [TasksRun];
                program story_of_a_cancel_names_the_task_that_called_it_with_those_around_it [TasksRun];
                program story_of_a_cancel_names_the_thread_that_called_it [ForeignWake];
                program story_of_a_grace_tells_who_gave_it [TasksRun, TimerWakes, TimerNotEarly];
                program story_of_a_siblings_failure_names_the_sibling_and_the_group [TasksRun];
                program story_of_what_a_parent_cancelled_is_the_parents [];
                program story_of_a_service_and_of_a_dropped_group_tells_where_the_group_was_opened [TasksRun];
                bare story_of_the_end_of_a_run [TasksRun, TimerWakes];
            }
            shields {
                program sh_01_a_shielded_body_goes_on_while_the_outer_scope_is_cancelled [TimerWakes, TimerNotEarly];
                program sh_02_the_first_checkpoint_after_the_shield_does_not_return [];
                program sh_03_a_shielded_scope_can_be_cancelled_itself [];
                program sh_04_the_deadline_of_a_shielded_scope_fires [TimerWakes];
                program sh_05_a_scope_inside_a_shield_is_cancelled_on_its_own [];
                program sh_07_a_shield_switched_on_protects_until_it_is_switched_off [];
                program sh_08_a_shield_switched_on_while_a_cancellation_unwinds_does_not_trap_it [];
                program sh_09_inside_a_shield_the_outer_deadlines_are_out_of_sight [];
                program sh_10_a_pending_cancellation_is_out_of_sight_inside_a_shield [];
                program sh_12_a_shielded_child_keeps_its_group_open [TasksRun];
                program sh_13_an_async_clean_up_completes_and_the_cancellation_goes_on [];
                program sh_15_of_three_scopes_two_are_cancelled_around_a_shielded_one [];
                program rule_24_a_shield_switched_off_wakes_who_sleeps_inside [];
                program rule_25_a_shield_in_the_host_does_not_protect_the_children [TasksRun];
                program rule_22_a_timeout_inside_a_shield_fires [TimerWakes, TimerNotEarly];
                program rule_66_a_shield_in_the_step_of_the_cancellation_is_too_late_for_who_waits [TasksRun];
                program rule_66_a_shield_in_the_step_of_the_cancellation_is_in_time_for_who_runs [TasksRun];
                program rule_66_a_shield_taken_down_and_put_up_in_one_step_is_too_late_for_who_waits [TasksRun];
            }
            handed_over {
                program rule_67_what_is_given_before_the_cancellation_is_the_waiters [TasksRun];
                program rule_67_what_is_given_after_the_cancellation_is_not_the_waiters [];
                program rule_67_what_is_given_between_a_poll_and_its_end_counts_by_the_same_order [];
                program rule_67_a_task_that_ends_after_the_cancellation_lets_nobody_go_on [];
                program rule_67_a_task_that_ended_before_the_cancellation_is_heard_of [TasksRun];
                program rule_67_an_item_that_a_thread_pulled_before_the_cancellation_is_received [];
                program rule_68_what_a_cancelled_waiter_may_not_have_goes_to_the_next_or_back [];
            }
            groups {
                program tg_01_all_children_finish_before_the_block_is_left [TasksRun];
                program tg_02_spawn_returns_before_the_child_runs [TasksRun, SpawnReturnsFirst];
                program tg_03_a_child_spawns_siblings_into_its_group [TasksRun];
                program tg_06_spawning_after_exit_is_an_error_and_drops_the_future [TasksRun];
                program tg_07_spawning_after_an_exit_with_an_error_is_an_error [];
                program tg_09_an_empty_group_returns_the_value_of_its_body [];
                program tg_10_an_empty_group_is_no_cancellation_point [];
                program tg_11_a_group_with_an_idle_child_in_a_cancelled_scope_exits_cleanly [TasksRun];
                program tg_23_a_new_child_of_a_cancelled_group_starts_and_stops_at_its_first_checkpoint [TasksRun];
                program tg_24_a_group_cancelled_twice_and_two_groups_in_sequence [TasksRun];
                program tg_26_cancelling_a_group_whose_children_have_ended_is_harmless [TasksRun];
                program tg_32_a_host_dropped_in_the_tick_of_its_own_cancel_cancels_its_children [TasksRun];
                program rule_27_the_group_waits_for_grandchildren_that_come_while_it_waits [TasksRun];
                program rule_35_the_host_does_not_spin_while_a_shielded_child_keeps_the_group [TasksRun];
            }
            group_errors {
                program tg_12_an_error_of_a_child_cancels_the_sleeping_host [TasksRun];
                program tg_13_an_error_of_a_child_cancels_its_siblings [TasksRun];
                program tg_14_an_error_of_the_host_cancels_the_children [TasksRun];
                program rule_30_a_failure_cancels_the_group_at_that_moment [TasksRun];
                program tg_16_a_single_error_comes_back_as_itself [TasksRun];
                program tg_17_several_errors_come_in_order_of_occurrence [TasksRun];
                program rule_31_the_chain_of_causes_goes_through_groups [TasksRun];
                program tg_19_nested_groups_give_nested_errors [TasksRun];
                program tg_20_of_cancellations_only_a_single_one_leaves [TasksRun];
                program tg_21_cancelled_members_never_stand_beside_errors [TasksRun];
                program tg_22_cancelling_a_group_is_no_error_of_a_child [TasksRun];
                program tg_33_errors_are_not_kept_alive_by_the_group [TasksRun];
                program tg_34_a_panic_of_a_child_is_resumed_in_the_host [TasksRun];
            }
            children {
                program tg_28_an_outer_timeout_applies_to_the_children [TasksRun, TimerWakes, TimerNotEarly];
                program tg_29_a_child_gets_a_copy_of_the_context_of_its_spawner [TasksRun];
                program a_value_that_is_set_stays_in_its_task_and_goes_to_later_children [TasksRun, ForeignWake];
                program a_named_handle_of_a_group_names_each_child [TasksRun];
                program tg_30_an_explicit_context_is_used_instead [TasksRun];
                bare tg_35_a_runtime_that_refuses_a_task_is_reported_to_the_spawner [];
                program tg_37_the_parent_of_a_child_is_the_host_and_not_the_spawner [TasksRun];
                program tg_38_a_child_is_named_after_its_function_unless_it_is_named [TasksRun];
                program rule_37_a_child_belongs_to_the_group_and_not_to_the_scope_of_its_spawner [TasksRun];
            }
            readiness {
                program st_01_start_returns_what_the_child_is_ready_with [TasksRun];
                program st_02_ready_without_a_value_is_unit [TasksRun];
                program st_03_a_child_that_ends_without_being_ready_is_an_error_of_the_starter [TasksRun];
                program st_04_an_error_before_ready_comes_out_of_start_as_itself [TasksRun];
                program st_05_an_error_after_ready_fails_the_group [TasksRun];
                program st_07_start_on_a_closed_group_fails_at_once [];
                program st_09_a_cancelled_starter_waits_for_the_shield_of_its_child [TasksRun];
                program st_11_a_cancel_of_the_group_before_ready_does_not_keep_the_value [TasksRun];
                program st_12_a_pending_start_keeps_the_group_open [TasksRun];
                program st_13_a_pending_start_whose_child_fails_lets_the_group_close [TasksRun];
                program st_15_start_in_a_cancelled_scope_gives_the_value_of_a_child_without_checkpoints [TasksRun];
                program st_17_the_parent_is_the_starter_before_ready_and_the_host_after [TasksRun];
                program st_18_a_function_for_start_can_be_called_without_it [TasksRun];
                program rule_40_a_panic_before_ready_is_resumed_in_the_starter [TasksRun];
                program rule_45_an_error_of_a_child_whose_starter_was_cancelled_comes_out_of_start [TasksRun];
                program rule_46_being_ready_after_the_starter_was_cancelled_changes_nothing [TasksRun];
                program rule_45_a_start_dropped_by_foreign_code_leaves_its_child_to_the_group [TasksRun];
                program rule_27_services_are_cancelled_when_all_else_is_done [TasksRun];
            }
            handles {
                program th_01_the_status_runs_from_pending_to_finished [TasksRun];
                program th_02_awaiting_a_handle_gives_the_value [TasksRun];
                program th_03_the_value_of_a_task_that_has_not_finished_is_an_error [TasksRun];
                program th_04_a_failed_child_tells_its_handle_and_its_group [TasksRun];
                program th_05_cancelling_a_handle_stops_that_child_only [TasksRun];
                program th_07_a_task_is_cancelling_until_its_end_and_then_cancelled [TasksRun];
                program th_08_cancelling_a_task_that_has_ended_changes_nothing [TasksRun];
                program th_09_waiting_for_a_task_returns_however_it_ends [TasksRun];
                program th_10_the_handle_of_a_started_child_comes_with_the_value_also_after_a_cancel [TasksRun];
                program th_11_dropping_a_handle_neither_detaches_nor_cancels [TasksRun];
            }
            several {
                program rs_01_a_clean_up_that_wants_the_lock_of_a_sleeping_branch_gets_it [TimerWakes, TimerNotEarly];
                program rs_02_an_inner_scope_gives_up_its_lock_to_a_clean_up_at_once [];
                program rs_03_a_clean_up_drains_a_channel_until_the_other_branch_drops_its_sender [TimerWakes, TimerNotEarly];
                program rs_04_a_blocking_job_waits_for_a_sender_that_another_branch_owns [TimerWakes, TimerNotEarly, ForeignWake];
                program rs_05_an_operation_that_is_not_polled_while_a_message_is_handled_is_cleaned_up [TasksRun, TimerWakes, TimerNotEarly];
                program rs_06_a_started_shield_that_is_not_polled_ends_with_the_other_await [TimerWakes, TimerNotEarly];
                bare rs_07_the_view_and_a_warning_name_a_started_shield_that_nobody_polls [TimerWakes, TimerNotEarly];
                program rs_08_two_loops_out_of_step_end [];
                program rs_09_receivers_and_blocking_jobs_take_no_new_work_after_the_cancel [];
                program rs_10_a_fair_lock_passes_over_a_waiter_whose_scope_is_cancelled [];
                program rs_11_a_branch_that_parked_is_woken_when_a_shield_begins_beside_it [];
                program rs_12_each_branch_of_our_own_combinators_is_dropped_by_itself [];
            }
            many {
                program rule_4_the_values_of_many_futures_come_in_order_or_as_they_end [];
                program rule_4_no_more_calls_run_at_once_than_the_limit [];
                program rule_16_each_of_many_branches_is_dropped_by_itself [];
                program rule_16_branches_that_nobody_wakes_follow_their_future_into_another_scope [TasksRun];
                program rule_27_a_limited_group_lets_spawning_wait [TasksRun];
                program rule_74_what_has_ended_comes_back_whatever_the_limit [];
                program rule_74_other_limits_change_nothing_of_what_comes_back_either [TasksRun, ForeignWake];
                program rule_74_a_limited_map_ends_beside_a_clean_up_that_waits_for_it [];
                program rule_56_a_child_that_has_the_only_place_of_its_group_does_not_wait_for_itself [TasksRun];
            }
            cut_short {
                program rc_01_a_deadline_while_a_group_waits_ends_the_code_after_it_as_well [TasksRun, TimerWakes, TimerNotEarly];
                program rc_02_a_deadline_that_cuts_no_child_short_loses_nothing [TasksRun, TimerWakes];
                program rc_03_the_borrowing_scope_keeps_the_same_rules [TimerWakes, TimerNotEarly];
                program rc_04_an_error_that_the_body_passes_on_is_counted_once [TasksRun];
                program rc_05_an_error_that_a_shielded_body_passes_on_is_counted_once [TasksRun];
                program rc_06_a_loop_whose_awaits_are_always_ready_ends_at_the_deadline [];
                program rule_75_who_ended_with_a_value_returns_it_though_something_inside_was_cut_short [TasksRun, ForeignWake];
                program rule_75_errors_come_out_though_something_inside_was_cut_short [TasksRun, ForeignWake];
                program rule_75_a_child_that_was_cut_short_from_outside_leaves_no_value [TasksRun];
            }
            moved {
                program rm_01_a_future_that_is_timed_out_again_and_again_finishes [TimerWakes, TimerNotEarly];
                program rm_02_a_timed_out_group_finally_or_shield_has_a_defined_outcome [TasksRun, TimerWakes, TimerNotEarly];
                program rm_03_of_two_tasks_that_share_a_future_one_is_cancelled_and_the_other_served [TasksRun];
                program rm_04_a_future_that_was_begun_goes_on_in_another_task [TasksRun];
                program rm_05_a_shield_dropped_on_another_thread_releases_its_hold [];
                program rm_06_a_shield_switched_on_in_a_body_that_returns_leaves_no_hold [];
                program rule_18_a_future_that_outlives_a_cancelled_scope_is_not_cancelled_any_more [];
            }
            blocking {
                program tt_01_a_job_runs_on_another_thread_and_gives_its_result [ForeignWake];
                program tt_02_other_tasks_run_meanwhile [TasksRun, ForeignWake];
                program tt_03_a_job_that_is_cancelled_before_its_start_never_runs [TasksRun, ForeignWake];
                program tt_05_a_cancelled_caller_gets_the_result_and_is_cancelled_after_it [ForeignWake];
                program tt_06_a_caller_that_abandons_is_released_and_the_job_runs_on [ForeignWake];
                program tt_07_the_result_of_an_abandoned_job_is_discarded [ForeignWake];
                bare tt_09_an_abandoned_job_may_end_after_the_runtime [ForeignWake];
                program tt_10_never_more_jobs_run_than_there_are_tokens [TasksRun, ForeignWake];
                program tt_11_the_default_limiter_has_forty_tokens_and_is_adjusted_while_it_runs [TasksRun, ForeignWake];
                program tt_12_a_limiter_of_ones_own_is_used_in_place_of_the_default [TasksRun, ForeignWake];
                program tt_13_a_limiter_of_ones_own_making_is_asked_and_told_and_no_more [TasksRun, ForeignWake];
                program tt_14_a_thread_that_cannot_be_started_is_an_error_and_costs_no_token [TasksRun, ForeignWake];
                bare tt_15_threads_are_used_again_and_end_when_they_are_idle [ForeignWake, TimerWakes];
                bare tt_17_idle_threads_are_joined_at_the_end_and_a_stuck_one_is_named [ForeignWake];
                program tt_18_the_context_goes_in_and_nothing_comes_back_or_stays [TasksRun, ForeignWake];
                program tt_19_the_borrower_is_the_call_and_a_task_does_not_wait_for_itself [ForeignWake];
                program tt_20_nested_calls_end_on_a_saturated_limiter [TasksRun, ForeignWake];
                program rule_55_what_has_begun_goes_before_what_starts [TasksRun, ForeignWake];
                program tt_21_a_panic_reaches_the_caller_and_the_thread_lives_on [ForeignWake];
                program rule_58_there_are_never_more_threads_than_tokens [TasksRun, ForeignWake];
            }
            in_threads {
                program wt_01_a_job_takes_a_token_of_the_default_limiter_and_gives_its_value_or_panic [ForeignWake];
                program wt_02_a_job_is_not_left_alone_by_a_cancelled_caller [ForeignWake];
                program wt_18_of_sixty_jobs_forty_run_and_twenty_wait_while_the_loop_serves_others [TasksRun, ForeignWake];
                program rule_57_a_call_without_a_limit_waits_for_no_token [ForeignWake];
                bare rule_48_a_job_that_the_pool_drops_or_refuses_is_an_error [];
                program rule_58_a_job_runs_although_the_poll_that_submits_it_goes_on_to_block [TasksRun, ForeignWake];
                bare rule_54_after_the_end_of_the_run_a_blocking_call_is_an_error [ForeignWake];
                bare rule_58_a_runtime_is_told_while_threads_work_and_not_while_they_wait [TasksRun, ForeignWake];
                bare rt_obligation_jobs_in_its_own_pool_run_once_to_their_end_on_other_threads [ForeignWake];
            }
            full_pool {
                bare rule_80_a_call_that_waits_for_a_thread_keeps_to_its_limit [TimerWakes, TimerNotEarly];
                bare rule_80_a_job_that_has_begun_in_a_full_pool_is_waited_for [];
                bare rule_80_a_call_that_is_dropped_while_it_waits_for_a_thread_runs [];
                bare rule_80_a_call_that_left_a_full_pool_asks_again_when_a_shield_goes_up [];
                program rule_80_where_no_thread_can_be_started_a_call_keeps_to_its_limit [TasksRun, ForeignWake, TimerWakes, TimerNotEarly];
            }
            iterators {
                program wt_04_items_are_pulled_in_batches_with_one_hop_and_one_token_each [ForeignWake];
                program wt_05_the_end_of_the_iterator_ends_the_stream_and_drops_it_in_a_thread [ForeignWake];
                program wt_06_anything_that_can_be_iterated_is_accepted [ForeignWake];
                program wt_07_an_error_or_panic_of_the_iterator_comes_after_the_items_before_it [ForeignWake];
                program rule_49_a_slow_iterator_keeps_no_item_back [ForeignWake];
                program rule_49_a_cancelled_consumer_waits_for_the_item_at_hand_and_no_further [ForeignWake];
                program rule_49_a_batch_ends_after_a_while_and_gives_its_token_to_others [ForeignWake];
                program rule_50_a_stream_that_is_dropped_drops_its_iterator_in_a_thread [ForeignWake];
            }
            context_managers {
                program wt_08_leaving_waits_for_no_token_of_those_that_entering_takes [ForeignWake];
                program wt_09_what_was_not_entered_is_not_left [ForeignWake];
                program wt_10_cancelled_while_it_waits_for_a_token_neither_entering_nor_leaving_runs [TasksRun, ForeignWake];
                program wt_12_leaving_is_told_how_the_body_ended_and_may_change_the_result [ForeignWake];
                program wt_13_an_error_of_leaving_replaces_that_of_the_body_and_keeps_it [ForeignWake];
            }
            from_thread {
                program ft_01_a_sync_call_runs_on_a_thread_of_the_runtime [TasksRun, SpawnReturnsFirst, ForeignWake];
                program ft_02_an_async_call_gives_its_result_or_panic [TasksRun, ForeignWake];
                program ft_03_a_foreign_thread_needs_a_portal [TasksRun, ForeignWake];
                program ft_04_on_a_thread_that_polls_a_task_it_is_an_error [TasksRun, ForeignWake];
                bare ft_05_after_the_end_of_the_run_it_is_an_error [ForeignWake];
                bare ft_06_the_end_of_the_run_ends_the_calls_that_wait [TasksRun, ForeignWake];
                program ft_08_a_sync_call_is_not_cancelled [TasksRun, ForeignWake];
                program ft_09_check_cancelled_tells_whether_the_caller_is_cancelled [ForeignWake];
                program ft_11_check_cancelled_works_in_an_abandoned_thread [TasksRun, ForeignWake];
                program ft_12_check_cancelled_outside_of_a_job_is_an_error [ForeignWake];
                program ft_13_what_check_cancelled_says_ends_in_its_own_scope [ForeignWake];
                program ft_15_many_threads_call_in_order_and_starve_nobody [TasksRun, ForeignWake];
                program ft_16_a_portal_calls_spawns_starts_and_carries_names_and_context [TasksRun, ForeignWake];
                program ft_17_a_portal_waits_for_its_tasks_or_cancels_them_when_its_block_fails [TasksRun, ForeignWake];
                program ft_18_a_task_of_a_portal_is_cancelled_at_once_later_and_after_the_end [TasksRun, ForeignWake];
                program ft_19_a_portal_that_is_closed_is_an_error [ForeignWake];
                program ft_20_cancelling_the_caller_cancels_what_its_job_calls [TasksRun, ForeignWake];
                bare ft_21_a_shared_portal_starts_with_its_first_user_and_stops_with_its_last [TasksRun];
                program rule_53_async_code_of_a_job_sees_the_deadline_of_the_caller [TasksRun, ForeignWake, TimerWakes, TimerNotEarly];
                program rule_53_tasks_that_a_job_spawned_end_with_its_call [TasksRun, ForeignWake];
                bare rule_54_a_portal_needs_no_runtime_around_it [TasksRun, ForeignWake];
            }
            limiter {
                program cl_01_tokens_are_counted_out_and_in [];
                program cl_02_the_same_key_does_not_borrow_twice [];
                program cl_03_returning_what_was_not_borrowed_is_an_error [];
                program cl_04_any_key_borrows [];
                program cl_05_try_acquire_would_block_when_full [];
                program cl_07_tokens_go_out_in_the_order_of_asking [];
                program cl_09_raising_the_total_wakes_as_many_as_there_is_room [];
                program cl_11_lowering_below_what_is_borrowed_takes_nothing_away [];
                program cl_12_a_total_of_zero_makes_all_wait [];
                program rule_62_raising_a_lowered_total_wakes_as_many_as_there_is_spare_room [];
                program cl_13_an_unlimited_one_makes_nobody_wait [];
                program cl_14_a_cancelled_waiter_leaves_the_queue [TasksRun];
                program cl_16_a_cancelled_acquire_returns_nobody_elses_token [];
                program cl_18_the_statistics_tell_how_it_stands [TimerWakes, TimerNotEarly];
                bare cl_19_a_limiter_is_made_outside_of_any_runtime [];
            }
            introspection {
                program rt_01_a_run_inside_a_run_is_an_error [TasksRun];
                bare rt_03_a_run_local_is_separate_for_each_run_and_key [TasksRun, ForeignWake];
                program rt_04_task_locals_go_to_children_and_not_to_siblings [TasksRun];
                bare rt_05_outside_of_any_runtime_there_is_a_clear_error [];
                program rt_06_it_is_quiet_when_all_other_tasks_wait [TasksRun];
                program rt_07_the_tree_tells_the_names_and_parents_of_tasks [TasksRun];
                program rt_08_the_tree_is_consistent_at_every_level [TasksRun];
                bare a_cancellation_is_told_to_subscribers [];
                program steps_are_taken_in_their_order [TasksRun];
                program checkpoints_are_asserted [];
                program the_tree_tells_how_it_is_with_a_task [TasksRun];
            }
            locks {
                program sy_01_nobody_is_inside_twice [TasksRun];
                program sy_02_turns_go_round_in_strict_order [];
                program sy_03_who_got_it_without_a_wait_keeps_others_waiting_until_the_release [];
                program sy_04_a_release_hands_over_before_it_returns [];
                program sy_05_a_waiter_that_is_cancelled_leaves_the_lock_free [];
                program sy_08_nobody_releases_what_it_does_not_have [];
                program sy_09_an_owner_that_ends_has_released [TasksRun];
                program rule_63_who_waits_has_the_lock_when_its_owner_panics [];
                program sy_10_what_is_free_is_taken_without_a_yield [];
                program sy_11_a_semaphore_has_no_more_than_its_maximum [];
                program sy_12_a_waiter_that_was_woken_is_not_overtaken [];
                program sy_20_everything_tells_how_many_wait [];
                program rule_60_a_writer_that_waits_stops_new_readers [];
                program rule_61_readers_behind_a_writer_that_leaves_go_on [];
                program rule_61_who_asked_for_many_and_leaves_lets_the_others_go_on [];
                program rule_60_a_writer_that_reads_on_lets_no_writer_in_between [];
            }
            meetings {
                program sy_13_an_event_wakes_all_and_stays [];
                program sy_14_who_waited_when_it_happened_does_not_miss_it [];
                program sy_15_a_condition_needs_the_guard_of_its_lock [];
                program sy_16_notify_wakes_so_many_in_their_order [];
                program sy_17_a_wait_that_was_cancelled_has_the_lock_again [TimerWakes, TimerNotEarly];
                program sy_19_wait_for_waits_until_it_is_true [TasksRun];
                program rule_64_a_wait_that_foreign_code_drops_leaves_a_guard_that_says_so [];
                program rule_61_a_barrier_opens_when_all_have_come [];
                program rule_61_who_is_cancelled_at_a_barrier_has_not_come [];
                program rule_61_a_cell_is_made_once_whoever_is_cancelled [];
                program rule_61_a_cell_whose_maker_panics_is_made_by_the_next [TimerWakes, TimerNotEarly];
            }
            channels {
                program ch_01_without_a_buffer_a_send_waits_for_a_receiver [];
                program ch_02_what_would_wait_says_so [];
                program ch_03_receiving_from_a_full_buffer_admits_the_next_sender [];
                program ch_04_iteration_ends_after_the_last_sender [TasksRun];
                program ch_06_sending_without_a_receiver_is_broken [];
                program ch_07_a_closed_end_is_closed [];
                program ch_08_closing_the_peer_wakes_who_waits_with_the_right_error [];
                program ch_09_closing_ones_own_end_wakes_who_waits_there [];
                program ch_10_what_was_handed_over_before_the_close_is_delivered [];
                program ch_11_a_cancelled_send_leaves_nothing_and_a_cancelled_receive_loses_nothing [];
                program ch_13_receivers_with_a_pending_cancellation_are_passed_over [];
                program ch_14_in_a_cancelled_scope_nothing_is_sent_or_received [];
                program ch_15_producers_and_consumers_take_turns [];
                program ch_16_an_end_that_is_dropped_is_closed [];
                program ch_17_statistics_tell_how_it_stands [];
                program rule_65_what_a_dropped_stream_was_handed_goes_on [];
                program rule_65_a_sink_reserves_before_it_is_ready [];
            }
            always_ready {
                program rule_05_a_loop_that_is_always_ready_lets_its_neighbours_run [TasksRun];
                program rule_05_of_two_loops_in_one_task_each_gives_way [TasksRun];
                program rule_05_one_await_in_so_many_yields_and_no_other [];
                program rule_05_what_says_itself_when_it_yields_does_not_count [];
                program rule_05_who_waits_keeps_its_place_when_nothing_is_left [];
                program rule_05_a_cancelled_scope_is_left_also_when_nothing_is_left [];
                program rule_05_items_without_end_that_are_done_at_once_give_way [];
                program rule_05_streams_and_combinators_without_end_give_way_and_see_their_deadline [];
                bare rule_05_outside_of_tasks_nothing_is_counted [];
            }
            news {
                program rule_65_a_oneshot_keeps_its_item_until_it_is_seen [];
                program rule_65_the_ends_of_a_oneshot_know_of_each_other [];
                program rule_65_a_broadcast_goes_to_every_receiver [];
                program rule_65_a_receiver_that_lags_is_told_how_many_it_missed [];
                program rule_65_a_broadcast_keeps_what_somebody_has_not_seen [];
                program rule_65_a_watch_shows_the_latest_value [];
                program rule_65_the_ends_of_a_watch_know_of_each_other [];
            }
            dropped {
                program rd_01_a_group_that_a_select_drops_is_waited_for_by_the_group_around [TasksRun];
                program rd_02_the_error_and_the_panic_of_an_orphan_reach_the_group_around [TasksRun];
                bare rd_03_a_dropped_finally_does_not_clean_up_and_an_owned_one_does [TasksRun];
                program rd_04_the_losers_of_a_race_have_cleaned_up_when_it_returns [];
                program rule_39_a_group_that_outlived_its_scope_and_is_dropped_is_waited_for_by_the_group_around [TasksRun];
                bare rule_39_an_owned_shield_goes_on_at_the_root [TasksRun];
                bare rule_39_what_is_owned_keeps_its_limit_at_the_root [TasksRun, TimerWakes, TimerNotEarly];
                program rule_39_an_owned_shield_and_clean_up_in_place_are_as_the_others [TasksRun];
            }
            orphans {
                program rule_72_a_group_in_what_foreign_code_drops_is_waited_for_by_the_group_around [TasksRun];
                program rule_72_a_scope_that_is_dropped_passes_on_what_it_had_taken_in [TasksRun];
                program rule_72_a_scope_that_lives_on_waits_for_what_it_has_taken_in [TasksRun];
                program rule_72_errors_and_panics_of_orphans_go_on_with_them [TasksRun];
                program rule_72_the_handle_of_a_child_hears_that_its_scope_was_dropped [];
                bare rule_72_the_run_waits_for_what_an_abandoned_closure_has_taken_in [TasksRun, ForeignWake];
                bare rule_72_without_a_group_around_the_run_waits [TasksRun];
                program rule_72_a_scope_that_is_being_dropped_takes_no_child_in [];
                bare rule_73_a_task_that_outlives_its_run_is_told_of [TasksRun];
            }
            races {
                program rule_76_of_two_that_are_ready_the_first_counts_and_the_second_keeps_its_item [Datagrams];
                program rule_76_who_has_lost_is_not_polled_again_and_not_at_all_if_it_never_was [];
                program rule_76_what_holds_in_the_loser_is_finished [TasksRun, ForeignWake];
                program rule_76_what_the_loser_was_handed_goes_back [];
                program rule_76_a_stream_whose_next_item_has_lost_keeps_it [ForeignWake];
                program rule_76_what_was_sent_was_received_or_is_left [TasksRun];
                program rule_76_a_service_that_is_not_needed_any_more_loses_nothing [TasksRun];
            }
            panics {
                program rp_01_a_destructor_that_panics_in_a_cancellation_is_resumed_in_the_host [TasksRun];
                program rp_02_work_that_panics_is_cleaned_up_and_the_panic_goes_on [];
                program rp_04_a_waker_that_panics_keeps_nobody_from_being_woken [TasksRun];
            }
            obligations {
                program rt_obligation_a_task_runs_to_its_end_though_nobody_waits [TasksRun];
                program rt_obligation_spawn_returns_before_the_task_is_polled [TasksRun, SpawnReturnsFirst];
                program rt_obligation_a_task_that_wakes_itself_while_it_is_polled_is_polled_again [TasksRun];
                program rt_obligation_a_task_is_woken_by_a_foreign_thread [TasksRun, ForeignWake];
                program rt_obligation_a_task_is_polled_by_one_thread_at_a_time [TasksRun, ForeignWake];
                program rt_obligation_tasks_are_spawned_from_any_thread [TasksRun];
                bare rt_obligation_the_root_runs_on_the_calling_thread_to_its_end [BlockOn];
                bare rt_obligation_the_root_is_woken_by_a_foreign_thread [BlockOn, ForeignWake];
                bare rt_obligation_enter_runs_the_closure_once_on_the_calling_thread [Enter];
                bare rt_obligation_after_the_shutdown_a_task_is_dropped_at_once_or_runs [Shutdown];
            }
            timers {
                bare rt_obligation_the_clock_never_goes_back [];
                bare rt_obligation_a_timer_wakes_and_is_never_early [TimerWakes, TimerNotEarly];
                bare rt_obligation_a_timer_is_reset_to_a_later_deadline [TimerWakes, TimerNotEarly, TimerReset];
                bare rt_obligation_a_timer_is_reset_to_an_earlier_deadline [TimerWakes, TimerReset];
                bare rt_obligation_a_timer_wakes_the_waker_of_the_latest_call [TimerWakes, TimerNotEarly];
                bare rt_obligation_a_timer_is_made_outside_of_the_runtime [TimerWakes, TimerNotEarly];
            }
            sockets {
                bare rt_obligation_connect_opens_a_stream [Connect, Streams];
                bare rt_obligation_connect_tells_when_nobody_listens [Connect];
                bare rt_obligation_a_stream_echoes_more_than_fits_into_its_buffers [Streams];
                bare rt_obligation_closing_a_stream_ends_one_direction_only [Streams];
                bare rt_obligation_a_stream_takes_several_buffers_at_once [Streams];
                bare rt_obligation_a_reader_waits_without_blocking_the_writer [Streams];
                bare rt_obligation_unix_streams_are_adopted_and_connected [Connect, Listeners, Streams];
                bare rt_obligation_each_of_two_waiting_accepts_gets_a_connection [Listeners];
                bare rt_obligation_an_accept_that_is_dropped_loses_no_connection [Listeners];
                bare rt_obligation_datagrams_arrive_whole_and_name_their_sender [Datagrams];
            }
            connects {
                program rule_81_errors_of_connect_and_bind_are_those_of_the_system [Connect, Datagrams];
                program rule_81_a_unix_socket_has_the_errors_of_the_system [Connect, Listeners];
                program rule_81_a_unix_connect_waits_where_a_blocking_one_would [Connect, Listeners, TimerWakes];
            }
        }
    };
}

pub(crate) use for_each_case;
