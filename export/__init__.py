"""Export a Keras model to files that devices run, with a manifest beside each."""
