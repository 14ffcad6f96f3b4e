/// Makes the crate a plugin that has these train functions.
///
/// Each is an `fn(&mut TrainingContext) -> explr_sdk::Result<TrainingResult>`
/// and is found by its name. Use it once in a crate, which needs
/// `crate-type = ["cdylib"]`.
///
/// ```
/// # use explr_sdk::{Result, TrainingContext, TrainingResult};
/// # fn train_mlp(ctx: &mut TrainingContext) -> Result<TrainingResult> { Ok(TrainingResult::new(0.0)) }
/// # fn train_cnn(ctx: &mut TrainingContext) -> Result<TrainingResult> { Ok(TrainingResult::new(0.0)) }
/// explr_sdk::export!(train_mlp, train_cnn);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($($function:ident),+ $(,)?) => {
        const _: () = {
            use $crate::__private::abi;

            static FUNCTIONS: &[abi::PluginFunction] = &[$(
                abi::PluginFunction {
                    name: concat!(stringify!($function), "\0").as_ptr().cast(),
                    call: {
                        unsafe extern "C" fn call(
                            host: *const abi::HostTable,
                            context: abi::Bytes,
                        ) {
                            // SAFETY: passed on from the worker, which promises the same.
                            unsafe { $crate::__private::call(host, context, $function) }
                        }
                        call
                    },
                },
            )+];

            static TABLE: abi::PluginTable = abi::PluginTable {
                abi_version: abi::ABI_VERSION,
                sdk_version: $crate::__private::SDK_VERSION.as_ptr(),
                torch_version: $crate::__private::TORCH_VERSION.as_ptr(),
                function_count: FUNCTIONS.len(),
                functions: FUNCTIONS.as_ptr(),
            };

            /// The one symbol of the plugin: `explr_protocol::abi::ENTRY_SYMBOL`.
            #[unsafe(no_mangle)]
            extern "C" fn explr_plugin() -> *const abi::PluginTable {
                &raw const TABLE
            }
        };
    };
}
