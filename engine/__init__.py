"""Sessions over one model: controller (pure), scheduler, runner, Engine.step(). Knows no socket."""
