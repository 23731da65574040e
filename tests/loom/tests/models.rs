//! Every model as a test of its own.

macro_rules! models {
    ($($room:ident: $($model:ident),+;)+) => {
        $($(
            #[test]
            fn $model() {
                dhcp_loom::$room::$model();
            }
        )+)+
    };
}

models! {
    pools:
        one_of_two_gets_the_last_unit,
        one_of_two_gets_it_by_name_or_by_search,
        a_unit_given_back_while_its_word_fills_is_found,
        a_unit_given_back_while_64_words_fill_is_found,
        units_given_back_by_two_while_their_word_fills_are_found,
        workers_find_a_unit_while_there_are_as_many,
        giving_back_twice_changes_nothing;
    workers:
        a_round_gives_each_partition_once,
        a_view_sees_either_generation_whole,
        of_two_writers_the_last_is_in_force,
        no_wake_up_is_lost;
}
