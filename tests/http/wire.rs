//! The wire: limits, protocol, attacks and loads, over real sockets on every backend. The ids in the
//! names (`h1_`, ..) are those of the table of faults and loads.

mod descriptors;
mod frames;
mod framing;
mod hosting;
mod http2;
mod limits;
mod listeners;
mod load;
mod panics;
mod protocol;
mod speaks;
mod stopping;
mod tls;
mod turns;
mod unread;
mod whole;
