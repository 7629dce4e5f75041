"""A classified request, the deployments and their health in; candidates best first out, or why there is none."""
