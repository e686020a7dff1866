#!/usr/bin/python3
"""celery_results.py - Celery keeps the results of its tasks in the server, and is told of them by messages.

Its broker, which needs lists, is another: worker and caller share this process.
"""

import gc

import harness

try:
    import celery
    import celery.contrib.testing.worker
except ImportError as missing:
    harness.skip_whole_program(f"not installed: {missing.name}")


class Results(harness.ServerTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        app = cls.app = celery.Celery("test", broker="memory://", set_as_current=True,
                                      backend=f"redis://127.0.0.1:{cls.server.port}/1")
        app.conf.update(result_expires=100, task_track_started=True, worker_hijack_root_logger=False)

        @app.task
        def add(a, b):
            return a + b

        @app.task
        def fail(text):
            raise ValueError(text)

        @app.task(bind=True, max_retries=3, default_retry_delay=0)
        def third_time_lucky(self):
            if self.request.retries < 2:
                raise self.retry()
            return self.request.retries

        cls.tasks = {"add": add, "fail": fail, "third_time_lucky": third_time_lucky}
        worker = celery.contrib.testing.worker.start_worker(app, pool="solo", perform_ping_check=False,
                                                            shutdown_timeout=harness.patience(20))
        cls.worker = worker
        worker.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.worker.__exit__(None, None, None)
        # Results that end after the server would look for it for twenty seconds.
        gc.collect()
        cls.app.backend.result_consumer.stop()
        cls.app.close()
        super().tearDownClass()

    def call(self, task, *words):
        return self.tasks[task].delay(*words)

    def test_a_result_is_waited_for_and_ends_by_itself(self):
        result = self.call("add", 2, 40)
        self.assertEqual(42, result.get(timeout=harness.patience(10)))
        self.assertEqual("SUCCESS", self.app.AsyncResult(result.id).state)
        backend = self.app.backend
        self.assertIn(backend.client.ttl(backend.get_key_for_task(result.id)), range(90, 101))
        result.forget()
        self.assertEqual("PENDING", self.app.AsyncResult(result.id).state)

    def test_many_results_are_waited_for_together(self):
        group = celery.group(self.tasks["add"].s(n, n) for n in range(50))
        self.assertEqual([2 * n for n in range(50)], group.apply_async().get(timeout=harness.patience(20)))

    def test_failures_and_retries(self):
        failed = self.call("fail", "no")
        with self.assertRaisesRegex(ValueError, "no"):
            failed.get(timeout=harness.patience(10))
        self.assertIn("ValueError", self.app.AsyncResult(failed.id).traceback)
        lucky = self.call("third_time_lucky")
        self.assertEqual(2, lucky.get(timeout=harness.patience(10)))

    def test_a_result_can_be_kept_under_a_group(self):
        group = celery.group(self.tasks["add"].s(n, 1) for n in range(3)).apply_async()
        group.save()
        self.assertEqual([1, 2, 3], group.get(timeout=harness.patience(10)))
        again = celery.result.GroupResult.restore(group.id, app=self.app)
        self.assertEqual([1, 2, 3], [result.result for result in again.results])
        again.delete()
        self.assertIsNone(celery.result.GroupResult.restore(group.id, app=self.app))


if __name__ == "__main__":
    harness.main(seconds=60)
