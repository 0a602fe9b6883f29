"""The actions of the API that the simulator serves."""
