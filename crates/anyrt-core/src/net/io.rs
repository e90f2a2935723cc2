//! The rule of cancellation for bytes: reads and writes only wait, accepts and connects take.

use std::future::{Future, poll_fn};
use std::pin::pin;

use crate::current::gate::{self};
use crate::tree::site::Called;

/// A future of the runtime as a leaf: polled only where the gate is open.
///
/// What it waits for is not handed over by another task, so there is nothing to return after a cancellation.
pub(super) async fn leaf<F: Future>(takes: bool, called: Called, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| gate::leaf(takes, called, cx, |cx| future.as_mut().poll(cx))).await
}

/// Implements the `futures` traits for a type with a field `io`, as leaves. They are called through a foreign
/// trait, so the place that is shown is the one where the stream was `opened`.
macro_rules! gated_stream {
    ($type:ty) => {
        impl futures_io::AsyncRead for $type {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                $crate::current::gate::leaf(false, self.opened, cx, |cx| {
                    Pin::new(&mut self.io).poll_read(cx, buffer)
                })
            }

            fn poll_read_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [io::IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                $crate::current::gate::leaf(false, self.opened, cx, |cx| {
                    Pin::new(&mut self.io).poll_read_vectored(cx, buffers)
                })
            }
        }

        impl futures_io::AsyncWrite for $type {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                $crate::current::gate::leaf(false, self.opened, cx, |cx| {
                    Pin::new(&mut self.io).poll_write(cx, bytes)
                })
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                $crate::current::gate::leaf(false, self.opened, cx, |cx| {
                    Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
                })
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $crate::current::gate::leaf(false, self.opened, cx, |cx| {
                    Pin::new(&mut self.io).poll_flush(cx)
                })
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $crate::current::gate::leaf(false, self.opened, cx, |cx| {
                    Pin::new(&mut self.io).poll_close(cx)
                })
            }
        }
    };
}

pub(super) use gated_stream;
