typedef struct trainer trainer;
trainer *trainer_new(const char *library, int layers, const int *size, int batch, float drop, int adam);
void trainer_step(trainer *t, const float *x, const uint32_t *labels, const uint32_t *order);
