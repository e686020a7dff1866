#include "cli/batches.h"

#include <string_view>
#include <utility>

namespace kvs::cli {
namespace {

Task<client::PipelineReplies> run_batch(client::Client& client, std::vector<Words> commands) {
  client::Pipeline pipeline = client.pipeline();
  std::vector<std::string_view> views;
  for (const Words& words : commands) {
    views.assign(words.begin(), words.end());
    pipeline.command(views);
  }
  commands = {};  // they are in the pipeline now; two copies of a large value are enough
  auto running = pipeline.run_op();
  client::PipelineReplies replies = co_await running;
  co_return replies;
}

}  // namespace

Future<client::PipelineReplies> send_batch(client::BackgroundClient& client,
                                           std::vector<Words> commands) {
  return client.run([commands = std::move(commands)](client::Client& connection) mutable {
    return run_batch(connection, std::move(commands));
  });
}

}  // namespace kvs::cli
