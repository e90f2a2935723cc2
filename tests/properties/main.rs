//! Random programs against naive models, and a storm of random trees: what holds for all of them.

mod cases;
mod channels_model;
mod limiter;
mod limiter_model;
mod line;
mod locks_model;
mod meeting;
mod meetings_model;
mod news_model;
mod storm;
mod tree_model;
mod waiter;
