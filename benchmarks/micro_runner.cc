#include <cstdio>
#include <cstdlib>
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
// Loads MODEL into an arena of ARENA bytes and runs it once on zeros: code 0, and what the interpreter says it used.
// To be compiled for 32 bits against the sources of TensorFlow Lite Micro (see target_tables.py).
int main(int argc, char** argv) {
  FILE* f = fopen(argv[1], "rb"); fseek(f,0,SEEK_END); long n = ftell(f); rewind(f);
  void* data = aligned_alloc(16, (n+15)/16*16); if (fread(data,1,n,f)!=(size_t)n) return 9;
  size_t size = atol(argv[2]);
  void* arena = aligned_alloc(16, (size+15)/16*16);
  static tflite::MicroMutableOpResolver<64> r;
  r.AddConv2D(); r.AddDepthwiseConv2D(); r.AddFullyConnected(); r.AddTransposeConv(); r.AddAdd(); r.AddSub(); r.AddMul();
  r.AddSoftmax(); r.AddLogistic(); r.AddTanh(); r.AddQuantize(); r.AddDequantize(); r.AddCast(); r.AddGather(); r.AddBatchMatMul();
  r.AddMean(); r.AddSum(); r.AddReduceMax(); r.AddReduceMin(); r.AddReshape(); r.AddTranspose(); r.AddConcatenation(); r.AddPack(); r.AddUnpack(); r.AddSplit();
  r.AddStridedSlice(); r.AddPad(); r.AddMaxPool2D(); r.AddAveragePool2D(); r.AddUnidirectionalSequenceLSTM();
  r.AddRsqrt(); r.AddHardSwish(); r.AddMaximum(); r.AddMinimum(); r.AddRelu(); r.AddRelu6();
  tflite::MicroInterpreter it(tflite::GetModel(data), r, (uint8_t*)arena, size);
  if (it.AllocateTensors() != kTfLiteOk) return 1;
  for (size_t i=0;i<it.inputs_size();i++) { TfLiteTensor* t=it.input(i); for (size_t b=0;b<t->bytes;b++) t->data.raw[b]=0; }
  TfLiteStatus s = it.Invoke();
  printf("used %zu\n", it.arena_used_bytes());
  return s == kTfLiteOk ? 0 : 2;
}
